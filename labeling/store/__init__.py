"""Where the labelling room keeps its data: tables, database, migrations."""
