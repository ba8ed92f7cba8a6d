#!/usr/bin/env python3
"""Says what `taskneuron ablate --json` found, as bars and one sentence a task: demo_summary.py ABLATE_JSON

Every number comes from the file. A sentence claims a difference only where the interval of own minus
random leaves zero out and no random set cost as much; else it says that there is none.
"""
import json
import sys

BAR = 30
LABELS = {"accuracy": "accuracy", "rougeL": "ROUGE-L"}


def mean(numbers):
    return sum(numbers) / len(numbers)


def rows_of(result):
    """(label, value, loss) of the model as it is and with units off."""
    task, units, random = result["task"], result["units_off"], result["random"]
    yield "as trained", result["original"]["value"], result["original"]["loss"]
    yield (f"{units} at random off, mean of {len(random)}", mean([r["value"] for r in random]),
           mean([r["loss"] for r in random]))
    for other, off in result["off"].items():
        if other != task:
            yield f"the {units} of {other} off", off["value"], off["loss"]
    yield f"its own {units} off", result["off"][task]["value"], result["off"][task]["loss"]


def print_bars(result):
    metric = LABELS.get(result["metric"], result["metric"])
    print(f"   {result['task'] + ', ' + str(result['examples']) + ' test rows':36} {metric:>8}   {'loss':>5}")
    for label, value, loss in rows_of(result):
        print(f"   {label:36} {value:8.2f}   {loss:5.2f}  {'█' * round(BAR * value)}")
    print()


def sentence(result):
    task, units, random = result["task"], result["units_off"], result["random"]
    metric = LABELS.get(result["metric"], result["metric"])
    own = result["off"][task]
    before, chance = result["original"]["value"], mean([r["value"] for r in random])
    value = result["own_minus_random"]["matched"]["value"]
    loss = result["own_minus_random"]["matched"]["loss"]
    there = value["high"] < 0 and own["value"] < min(r["value"] for r in random)
    start = (f"Without the {units} neurons that {task} uses most ({result['top']} of all), its {metric} goes from "
             f"{before:.2f} to {own['value']:.2f}, without as many random ones to {chance:.2f} (mean of {len(random)} sets)")
    size = (f"own minus random is {value['difference']:+.2f} (95% interval {value['low']:+.2f} to {value['high']:+.2f}), "
            f"in loss {loss['difference']:+.2f} nats ({loss['low']:+.2f} to {loss['high']:+.2f})")
    if there:
        return f"{start}: {size}, and no random set cost as much."
    return f"{start}: {size}. So for {task} this run does not show that its own neurons matter more than random ones."


def wrap(text, width=112):
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return "\n".join(lines + [line])


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        results = json.load(file)["results"]
    for result in results:
        print_bars(result)
    for result in results:
        print(wrap(sentence(result)))


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    main()
