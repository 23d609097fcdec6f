"""The settings as Markdown, for the documentation."""

from vivace.config.table import SETTINGS

__all__ = ["reference"]


def reference() -> str:
    """The settings as Markdown tables, one per group, for the documentation."""
    lines: list[str] = []
    group = ""
    for setting in SETTINGS:
        if setting.group != group:
            group = setting.group
            lines += [
                "",
                f"## {group}",
                "",
                "| Setting | Default | Unit | Option | Meaning |",
                "|---|---|---|---|---|",
            ]
        shown = f"`{setting.show(setting.default)}`" if setting.default not in {None, ""} else "-"
        also = "".join(f" Environment: `{name}` too." for name in setting.env)
        option = f"`{setting.option}`" if setting.option else "-"
        lines.append(
            f"| `{setting.name}` | {shown} | {setting.unit or '-'} | {option} | {setting.help}{also} |"
        )
    return "\n".join(lines[1:]) + "\n"
