#!/usr/bin/env python3
"""Stems and ROUGE-L as rouge_score and NLTK make them: make_stems.py [--check] FILE

Writes a fixture of words with their stems (NLTK's PorterStemmer in its default mode) and of sentences with their
ROUGE-L F1 with and without stemming; with --check compares an existing one instead. Made with nltk 3.10.4 and
rouge_score 0.1.2; without them --check exits 77, which ctest counts as skipped.
"""
import importlib.metadata
import argparse
import json
import sys
import textwrap

try:
    from nltk.stem.porter import PorterStemmer
    from rouge_score import rouge_scorer
except ImportError:
    print("skipped: this Python has no rouge_score, so the fixture is not recomputed")
    sys.exit(77)

# Every suffix of the rules behind stems of measure 0, 1 and 2, with double consonants, short syllables and y.
SUFFIXES = """ational tional enci anci izer bli abli alli entli eli ousli ization ation ator alism iveness fulness ousness
    aliti iviti biliti fulli logi icate ative alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent sion
    tion ion ou ism ate iti ous ive ize e l ll s ss sses ies ied eed ed ing y""".split()
STEMS = ["tr", "hop", "comput", "fizz", "enjoy"]
# The table of irregular words, the paper's examples, and what has differed between stemmers.
WORDS = """sky skies dying lying tying news innings inning outings outing cannings canning howe proceed exceed succeed
    caresses ponies ties caress cats flies dies spied died feed agreed plastered bled motoring sing conflated troubled sized
    hopping tanned falling hissing fizzed failing filing happy enjoy enjoyment spy fly try by say toy syzygy yyyy yyyyed
    relational conditional rational valency hesitancy digitizer conformably radically differently vilely analogously
    vietnamization predication operator feudalism decisiveness hopefulness callousness formality sensitivity sensibility
    triplicate formative formalize electricity electrical hopeful goodness revival allowance inference airliner gyroscopic
    adjustable defensible irritant replacement adjustment dependent adoption homologous communism activate angularity
    effective bowdlerize probate rate cease controlling rolling geology theology archaeology analogies possibly doubtfully
    generally fundamentally thoughtfully ally really owed used ages aged icing oed aing 1990s 3ed 42ing x86 a1b2ies
    university universities having being their this something because police killed gunman running quickly""".split()
SENTENCES = [
    ("The skies are dying; he enjoys playing.", "The sky dies while he enjoyed a play"),
    ("Police killed the gunmen on Friday, officials said", "The police kill the gunman, an official says."),
    ("Geological theories of archaeology", "Theology, geology and archaeological theory"),
    ("Innings and outings were generally succeeding", "An inning, an outing: general success succeeds"),
    ("ISTANBUL İstanbul 3.5% K9", "istanbul 3 5 k9"), ("", "nothing"),
]


def make():
    stemmer = PorterStemmer()
    words = sorted(set(WORDS) | {stem + suffix for stem in STEMS for suffix in SUFFIXES})
    scorers = {False: rouge_scorer.RougeScorer(["rougeL"]), True: rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)}
    sentences = [{"prediction": a, "reference": b,
                  "rougeL": scorers[False].score(b, a)["rougeL"].fmeasure,
                  "rougeL-stem": scorers[True].score(b, a)["rougeL"].fmeasure} for a, b in SENTENCES]
    return {"made_with": {name: importlib.metadata.version(name) for name in ("nltk", "rouge_score")},
            "stems": {word: stemmer.stem(word) for word in words}, "sentences": sentences}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare an existing fixture instead of writing one")
    parser.add_argument("file")
    options = parser.parse_args()
    check, path = options.check, options.file
    made = make()
    if not check:
        stems = "\n".join(textwrap.wrap(json.dumps(made["stems"]), 118, break_long_words=False, break_on_hyphens=False))
        sentences = ",\n".join(json.dumps(sentence) for sentence in made["sentences"])
        with open(path, "w") as file:
            file.write(f'{{"made_with": {json.dumps(made["made_with"])},\n"stems":\n{stems},\n"sentences": [\n{sentences}\n]}}\n')
        return 0
    with open(path) as file:
        known = json.load(file)
    differ = [key for key in ("stems", "sentences") if made[key] != known[key]]
    print(f"{made['made_with']} and the fixture differ in {differ}" if differ else "NLTK and rouge_score agree with the fixture")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
