"""What makes a site of the pages: MkDocs, with mathematics, pictures and the reference made at build time."""
