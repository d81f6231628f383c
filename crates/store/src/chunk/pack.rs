//! Integers and floats through `pco` (Loncaric, "Pcodec: Better Compression for Numerical
//! Sequences", 2025): one chunk of one page, without `pco`'s own file framing.

use pco::{
    ChunkConfig, DeltaSpec, ModeSpec, PagingSpec,
    data_types::Number,
    wrapped::{FileCompressor, FileDecompressor},
};

/// How numbers are handed to `pco`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packing {
    /// `pco`'s compression level.
    pub(crate) level: usize,
    /// Order of consecutive differences, 0 to 2. We choose it ourselves: the automatic choice
    /// samples too little of a short chunk.
    pub(crate) order: usize,
    /// Whether `pco` looks for structure (multiples, quantised floats) by itself.
    pub(crate) search: bool,
}

/// Appends the packed numbers; their count is not stored.
pub(crate) fn pack<T: Number>(out: &mut Vec<u8>, numbers: &[T], packing: Packing) {
    let mut config = ChunkConfig::default()
        .with_compression_level(packing.level)
        .with_mode_spec(if packing.search {
            ModeSpec::Auto
        } else {
            ModeSpec::Classic
        })
        .with_delta_spec(match packing.order {
            0 => DeltaSpec::NoOp,
            order => DeltaSpec::TryConsecutive(order),
        });
    config.paging_spec = PagingSpec::Exact(vec![numbers.len()]);
    let file = FileCompressor::default();
    let mut write = || {
        file.write_header(&mut *out)?;
        let mut chunk = file.chunk_compressor(numbers, &config)?;
        chunk.write_meta(&mut *out)?;
        chunk.write_page(0, &mut *out)?;
        pco::errors::PcoResult::Ok(())
    };
    write().expect("a valid configuration and a growing buffer cannot fail");
}

/// Fills `numbers` from packed bytes; `None` if the bytes do not hold so many.
pub(crate) fn unpack<T: Number>(bytes: &[u8], numbers: &mut [T]) -> Option<()> {
    let (file, rest) = FileDecompressor::new(bytes).ok()?;
    let (mut chunk, rest) = file.chunk_decompressor::<T, _>(rest).ok()?;
    let mut page = chunk.page_decompressor(rest, numbers.len()).ok()?;
    let progress = page.read(numbers).ok()?;
    (progress.finished && progress.n_processed == numbers.len()).then_some(())
}
