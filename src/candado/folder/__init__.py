"""The rules of one encrypted folder: accepting its metadata, sealing it, its members, its file drop."""
