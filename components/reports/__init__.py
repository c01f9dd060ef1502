"""Reports: pages of HTML in one file, from what stages write. What they show is escaped; they import little."""
