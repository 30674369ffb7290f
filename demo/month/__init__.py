"""A believable month in a folder, to look at the pages with: python -m demo.month FOLDER."""
