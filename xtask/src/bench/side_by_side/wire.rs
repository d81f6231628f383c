//! Remote write 1.0 requests: protobuf by hand, snappy blocks.

/// Labels of a series as a `TimeSeries` message begins with them.
pub(in crate::bench) fn labels(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in pairs {
        let mut label = Vec::new();
        field(&mut label, 1, name.as_bytes());
        field(&mut label, 2, value.as_bytes());
        field(&mut out, 1, &label);
    }
    out
}

/// Samples on their way into requests of a set size.
#[derive(Debug)]
pub(in crate::bench) struct Writer {
    samples_max: usize,
    samples: usize,
    open: Vec<u8>,
    /// Compressed bodies.
    pub(in crate::bench) bodies: Vec<Vec<u8>>,
}

impl Writer {
    pub(in crate::bench) fn new(samples_max: usize) -> Self {
        Self {
            samples_max,
            samples: 0,
            open: Vec::new(),
            bodies: Vec::new(),
        }
    }

    /// Adds a series with one sample.
    pub(in crate::bench) fn push(&mut self, labels: &[u8], time_ms: i64, value: f64) {
        let mut sample = Vec::with_capacity(20);
        sample.push(1 << 3 | 1);
        sample.extend(value.to_le_bytes());
        sample.push(2 << 3);
        varint(&mut sample, time_ms.cast_unsigned());
        let length = labels.len() + 2 + sample.len();
        self.open.push(1 << 3 | 2);
        varint(&mut self.open, length as u64);
        self.open.extend(labels);
        field(&mut self.open, 2, &sample);
        self.samples += 1;
        if self.samples == self.samples_max {
            self.close();
        }
    }

    /// Ends the open request, if anything is in it.
    pub(in crate::bench) fn close(&mut self) {
        if self.samples > 0 {
            let packed = snap::raw::Encoder::new().compress_vec(&self.open);
            self.bodies
                .push(packed.expect("a request is far below 4 GiB"));
            self.open.clear();
            self.samples = 0;
        }
    }
}

fn field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
