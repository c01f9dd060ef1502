"""The pictures and tables of what watches a model; reports and pages are made of them."""
