"""Labels: what the true outcome of a request was, which becomes known hours or months after the answer."""
