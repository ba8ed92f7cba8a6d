"""Figures as SVG, without a library."""


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")


def color(value, largest):
    """Red for negative, blue for positive, white for zero."""
    share = min(1.0, abs(value) / largest) if largest else 0
    strong = (178, 24, 43) if value < 0 else (33, 102, 172)
    return "rgb({},{},{})".format(*(round(255 + share * (c - 255)) for c in strong))


def heatmap(path, names, matrix, title, row_title, column_title, digits=3):
    """matrix[i][j] as colored cells with their numbers, None as an empty one; the diagonal framed. Each column
    has a color scale of its own, because tasks differ in how much there is to lose."""
    cell, high, left, top = 64, 26, 150, 120
    width, height = max(left + cell * len(names) + 20, 9 * len(title)), top + high * len(names) + 40
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/>',
             f'<text x="10" y="20" font-size="15" font-weight="bold">{escaped(title)}</text>',
             f'<text x="10" y="{top - 8}" fill="#555">{escaped(row_title)}</text>',
             f'<text x="{left}" y="40" fill="#555">{escaped(column_title)}</text>']
    for j, name in enumerate(names):
        x = left + cell * j + cell / 2
        parts.append(f'<text x="{x}" y="{top - 8}" transform="rotate(-35 {x} {top - 8})">{escaped(name)}</text>')
    for i, name in enumerate(names):
        y = top + high * i
        parts.append(f'<text x="{left - 8}" y="{y + 17}" text-anchor="end">{escaped(name)}</text>')
        for j, value in enumerate(matrix[i]):
            if value is None:
                continue
            largest = max(abs(row[j]) for row in matrix if row[j] is not None)
            dark = largest and abs(value) / largest > 0.6
            x = left + cell * j
            frame = ' stroke="black" stroke-width="2"' if i == j else ' stroke="#ddd"'
            parts.append(f'<rect x="{x + 1}" y="{y + 1}" width="{cell - 2}" height="{high - 2}" '
                         f'fill="{color(value, largest)}"{frame}/>')
            parts.append(f'<text x="{x + cell / 2}" y="{y + 17}" text-anchor="middle" font-size="11" '
                         f'fill="{"white" if dark else "black"}">{value:+.{digits}f}</text>')
    parts.append("</svg>")
    with open(path, "w") as file:
        file.write("\n".join(parts) + "\n")


def tree(path, names, merges, title, x_title):
    """merges: {"left", "right", "height"}, of clusters: names first, then one for every merge."""
    left, width, high, top, bottom = 150, 560, 22, 50, 50
    largest = max((merge["height"] for merge in merges), default=0) or 1

    def x(at):
        return left + (width - left - 30) * at / largest

    members = [[i] for i in range(len(names))]
    for merge in merges:
        members.append(members[merge["left"]] + members[merge["right"]])
    order = members[-1] if merges else list(range(len(names)))
    y, at = {item: top + high * (place + 0.5) for place, item in enumerate(order)}, dict.fromkeys(range(len(names)), 0.0)
    height = top + high * len(names) + bottom
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/>',
             f'<text x="10" y="20" font-size="15" font-weight="bold">{escaped(title)}</text>',
             f'<text x="{left}" y="{height - 8}" fill="#555">{escaped(x_title)}</text>']
    for item in range(len(names)):
        parts.append(f'<text x="{left - 8}" y="{y[item] + 4:.1f}" text-anchor="end">{escaped(names[item])}</text>')
    for number, merge in enumerate(merges):
        a, b, here = merge["left"], merge["right"], merge["height"]
        for child in (a, b):
            parts.append(f'<line x1="{x(at[child]):.1f}" x2="{x(here):.1f}" y1="{y[child]:.1f}" y2="{y[child]:.1f}" stroke="#2166ac" stroke-width="2"/>')
        parts.append(f'<line x1="{x(here):.1f}" x2="{x(here):.1f}" y1="{y[a]:.1f}" y2="{y[b]:.1f}" stroke="#2166ac" stroke-width="2"/>')
        y[len(names) + number], at[len(names) + number] = (y[a] + y[b]) / 2, here
    for tick in axis_ticks(0, largest, 3):
        parts.append(f'<text x="{x(tick):.1f}" y="{height - bottom + 18}" text-anchor="middle">{tick:.2f}</text>')
    parts.append("</svg>")
    with open(path, "w") as file:
        file.write("\n".join(parts) + "\n")


PALETTE = ("#2166ac", "#b2182b", "#1b7837", "#762a83", "#e08214", "#35978f", "#777777", "#c51b7d")


def axis_ticks(low, high, count=5):
    step = (high - low) / (count - 1)
    return [low + step * i for i in range(count)]


def curves(path, places, lines, title, x_title, y_title, base=None):
    """lines: [(name, [(mean, low, high)])], a mean at each place; low and high (a bar) may be None. base: a
    dashed level, what is there before training."""
    width, height, left, right, top, bottom = 560, 340, 70, 150, 50, 60
    values = [v for _, points in lines for point in points for v in point if v is not None] + ([base] if base is not None else [])
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.05
    low, high = low - margin, high + margin

    def x(i, shift=0):
        return left + (width - left - right) * (i + 0.5) / len(places) + shift

    def y(value):
        return top + (height - top - bottom) * (high - value) / (high - low)

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
             'font-family="sans-serif" font-size="12">',
             f'<rect width="{width}" height="{height}" fill="white"/>',
             f'<text x="10" y="20" font-size="15" font-weight="bold">{escaped(title)}</text>',
             f'<text x="10" y="40" fill="#555">{escaped(y_title)}</text>',
             f'<text x="{(left + width - right) / 2}" y="{height - 14}" text-anchor="middle" fill="#555">{escaped(x_title)}</text>']
    for tick in axis_ticks(low + margin, high - margin):
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#e5e5e5"/>')
        parts.append(f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.3f}</text>')
    for i, place in enumerate(places):
        parts.append(f'<text x="{x(i):.1f}" y="{height - bottom + 20}" text-anchor="middle">{escaped(place)}</text>')
    if base is not None:
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{y(base):.1f}" y2="{y(base):.1f}" stroke="#777" '
                     'stroke-dasharray="5 4"/>')
        parts.append(f'<text x="{width - right + 8}" y="{y(base) + 4:.1f}" fill="#777">before</text>')
    for number, (name, points) in enumerate(lines):
        ink, shift = PALETTE[number % len(PALETTE)], 5 * (number - (len(lines) - 1) / 2)
        places_of = [(x(i, shift), y(point[0])) for i, point in enumerate(points)]
        parts.append(f'<polyline fill="none" stroke="{ink}" stroke-width="2" points="'
                     + " ".join(f"{a:.1f},{b:.1f}" for a, b in places_of) + '"/>')
        for (a, b), (_, bar_low, bar_high) in zip(places_of, points):
            if bar_low is not None:
                parts.append(f'<line x1="{a:.1f}" x2="{a:.1f}" y1="{y(bar_low):.1f}" y2="{y(bar_high):.1f}" stroke="{ink}"/>')
            parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{ink}"/>')
        parts.append(f'<rect x="{width - right + 8}" y="{top + 22 * number}" width="14" height="4" fill="{ink}"/>')
        parts.append(f'<text x="{width - right + 28}" y="{top + 22 * number + 7}">{escaped(name)}</text>')
    parts.append("</svg>")
    with open(path, "w") as file:
        file.write("\n".join(parts) + "\n")
