"""Figures as SVG, without a library."""


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;")


def color(value, largest):
    """Red for negative, blue for positive, white for zero."""
    share = min(1.0, abs(value) / largest) if largest else 0
    strong = (178, 24, 43) if value < 0 else (33, 102, 172)
    return "rgb({},{},{})".format(*(round(255 + share * (c - 255)) for c in strong))


def heatmap(path, names, matrix, title, row_title, column_title, digits=3):
    """matrix[i][j] as colored cells with their numbers; the diagonal framed. Each column has a color
    scale of its own, because tasks differ in how much there is to lose."""
    cell, high, left, top = 64, 26, 150, 120
    width, height = left + cell * len(names) + 20, top + high * len(names) + 40
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
            largest = max(abs(row[j]) for row in matrix)
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
