"""The record: what arrived, what became of it. One module of plain query functions per noun."""
