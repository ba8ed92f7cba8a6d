"""The page of study question1: tables from its result.json."""


def write(result, path):
    raise NotImplementedError
