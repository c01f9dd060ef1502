"""TFMA's combiners over columns: the sums of a batch by slice at once, where TFMA adds example by example.

Two functions replace a combiner. `terms` gives what each row adds to which cell (a bucket of a histogram, a pair of
classes; 0 where the combiner keeps plain totals). `fill` puts the sums into TFMA's own accumulator, and TFMA's own
`extract_output` makes the metric of it. TFMA computes from there everything that it derives from combiners (AUC,
precision, calibration, ...). Tests compare each combiner with TFMA on Beam.
"""
