//! A setting that registers itself: typed, bounded, leased, guarded; a read costs one relaxed load.
