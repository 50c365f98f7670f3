//! A slow reader and repairer of sidecars, written from `docs/FORMAT-parity.md` alone: it shares no code with the library and
//! none with its Reed–Solomon crate. Field by polynomial arithmetic, the code as the explicit matrix, decoding by Gauss.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

const POLYNOMIAL: u32 = 0x1_002D;
const BASIS: [u16; 16] = [
    0x0001, 0xACCA, 0x3C0E, 0x163E, 0xC582, 0xED2E, 0x914C, 0x4012, 0x6C98, 0x10D8, 0x6A72, 0xB900, 0xFDB8, 0xFB34,
    0xFF38, 0x991E,
];

/// GF(2^16): elements are written in the basis above, products are taken of polynomials.
pub struct Field {
    to_polynomial: Vec<u16>,
    from_polynomial: Vec<u16>,
    log: Vec<u32>,
    exp: Vec<u16>,
}

impl Field {
    pub fn new() -> Field {
        let to_polynomial: Vec<u16> = (0..=u16::MAX)
            .map(|x| (0..16).filter(|bit| x >> bit & 1 == 1).fold(0, |sum, bit| sum ^ BASIS[bit]))
            .collect();
        let mut from_polynomial = vec![0; 1 << 16];
        for (x, &p) in (0..=u16::MAX).zip(&to_polynomial) {
            from_polynomial[usize::from(p)] = x;
        }
        // Powers of the polynomial x.
        let (mut log, mut exp) = (vec![0; 1 << 16], vec![0; 65_535]);
        let mut power = 1u32;
        for n in 0..65_535u32 {
            exp[n as usize] = power as u16;
            log[power as usize] = n;
            power <<= 1;
            if power > 0xFFFF {
                power ^= POLYNOMIAL;
            }
        }
        assert_eq!(power, 1, "x generates the field");
        Field { to_polynomial, from_polynomial, log, exp }
    }

    pub fn mul(&self, a: u16, b: u16) -> u16 {
        if a == 0 || b == 0 {
            return 0;
        }
        let log = |x: u16| self.log[usize::from(self.to_polynomial[usize::from(x)])];
        let product = self.exp[((log(a) + log(b)) % 65_535) as usize];
        self.from_polynomial[usize::from(product)]
    }

    pub fn inverse(&self, a: u16) -> u16 {
        assert_ne!(a, 0);
        let log = self.log[usize::from(self.to_polynomial[usize::from(a)])];
        self.from_polynomial[usize::from(self.exp[((65_535 - log) % 65_535) as usize])]
    }

    /// Product of `x ⊕ v` over all `v` below `n` that differ from `x`.
    fn product(&self, x: usize, n: usize) -> u16 {
        (0..n).filter(|&v| v != x).fold(1, |product, v| self.mul(product, (x ^ v) as u16))
    }

    /// `G[j][i]`: what data shard `i` contributes to recovery shard `j`.
    pub fn matrix(&self, data: usize, recovery: usize) -> Vec<Vec<u16>> {
        let (data_2, recovery_2) = (data.next_power_of_two(), recovery.next_power_of_two());
        let high = if data_2 == recovery_2 { data <= recovery } else { data_2 > recovery_2 };
        let block = if high { recovery_2 } else { data_2 };
        let denominator = self.inverse(self.product(0, block));
        let mut factors = BTreeMap::new();
        let mut factor = |at: usize| {
            let at = at / block * block;
            *factors.entry(at).or_insert_with(|| self.mul(self.product(at, block), denominator))
        };
        let mut row = |j: usize| -> Vec<u16> {
            (0..data)
                .map(|i| {
                    let (x, y) = if high { (j, block + i) } else { (block + j, i) };
                    let a = factor(if high { y } else { x });
                    self.mul(a, self.inverse((x ^ y) as u16))
                })
                .collect()
        };
        (0..recovery).map(&mut row).collect()
    }
}

/// The elements of a shard: in each 64 bytes, 32 low bytes and then 32 high bytes.
pub fn elements(shard: &[u8]) -> Vec<u16> {
    let block = |b: &[u8]| (0..32).map(|n| u16::from_le_bytes([b[n], b[n + 32]])).collect::<Vec<_>>();
    shard.chunks_exact(64).flat_map(block).collect()
}

pub fn bytes_of(elements: &[u16]) -> Vec<u8> {
    let halves = |b: &[u16]| b.iter().map(|e| *e as u8).chain(b.iter().map(|e| (e >> 8) as u8)).collect::<Vec<_>>();
    elements.chunks_exact(32).flat_map(halves).collect()
}

fn short_hash(bytes: &[u8]) -> [u8; 16] {
    Sha256::digest(bytes)[..16].try_into().expect("16 bytes")
}

/// A file's shards, filled up with zeros.
pub fn shards(file: &[u8], shard: usize) -> Vec<Vec<u8>> {
    file.chunks(shard)
        .map(|s| {
            let mut s = s.to_vec();
            s.resize(shard, 0);
            s
        })
        .collect()
}

/// The recovery shards of a file.
pub fn recovery(field: &Field, file: &[u8], shard: usize, count: usize) -> Vec<Vec<u8>> {
    let data: Vec<Vec<u16>> = shards(file, shard).iter().map(|s| elements(s)).collect();
    let matrix = field.matrix(data.len(), count);
    matrix
        .iter()
        .map(|row| {
            let mut sum = vec![0u16; shard / 2];
            for (&g, shard) in row.iter().zip(&data) {
                sum.iter_mut().zip(shard).for_each(|(s, &d)| *s ^= field.mul(g, d));
            }
            bytes_of(&sum)
        })
        .collect()
}

/// The whole sidecar, as the format lays it out.
pub fn sidecar(field: &Field, file: &[u8], shard: usize, count: usize) -> Vec<u8> {
    let data = shards(file, shard).len();
    let hashes: Vec<[u8; 16]> = file.chunks(shard).map(short_hash).collect();
    let header = |kind: u16, index: usize, n: usize, copy: usize, payload: &[u8]| {
        let mut h = b"\x89ATP\r\n\x1a\n".to_vec();
        h.extend(1u16.to_le_bytes());
        h.extend(kind.to_le_bytes());
        h.extend((index as u32).to_le_bytes());
        h.extend((n as u32).to_le_bytes());
        h.extend((copy as u32).to_le_bytes());
        h.extend((payload.len() as u64).to_le_bytes());
        h.extend((file.len() as u64).to_le_bytes());
        h.extend((shard as u64).to_le_bytes());
        h.extend((data as u32).to_le_bytes());
        h.extend((count as u32).to_le_bytes());
        h.extend([0; 8]);
        h.extend(Sha256::digest(file));
        h.extend(short_hash(payload));
        let own = short_hash(&h);
        h.extend(own);
        assert_eq!(h.len(), 128);
        [h, payload.to_vec()].concat()
    };
    let list = |copy: usize| -> Vec<u8> {
        let record = |(n, part): (usize, &[[u8; 16]])| header(1, 256 * n, part.len(), copy, &part.concat());
        hashes.chunks(256).enumerate().flat_map(record).collect()
    };
    let shards: Vec<Vec<u8>> =
        recovery(field, file, shard, count).iter().enumerate().map(|(n, bytes)| header(2, n, 1, 0, bytes)).collect();
    let half = count.div_ceil(2);
    [list(0), shards[..half].concat(), list(1), shards[half..].concat(), list(2)].concat()
}

/// Reads what records are left in a sidecar, at any byte, and reconstructs the file from them and from what is left of it;
/// `None` where that is not possible.
pub fn repair(field: &Field, damaged: &[u8], sidecar: &[u8]) -> Option<Vec<u8>> {
    let mut hashes: BTreeMap<usize, [u8; 16]> = BTreeMap::new();
    let mut recovery: BTreeMap<usize, &[u8]> = BTreeMap::new();
    let mut subject = None;
    for at in 0..sidecar.len().saturating_sub(127) {
        let h = &sidecar[at..at + 128];
        if !h.starts_with(b"\x89ATP\r\n\x1a\n") || h[112..] != short_hash(&h[..112]) {
            continue;
        }
        let u32_at = |n: usize| u32::from_le_bytes(h[n..n + 4].try_into().expect("4")) as usize;
        let u64_at = |n: usize| u64::from_le_bytes(h[n..n + 8].try_into().expect("8")) as usize;
        let Some(payload) = sidecar.get(at + 128..at + 128 + u64_at(24)) else { continue };
        if h[96..112] != short_hash(payload) {
            continue;
        }
        subject = Some((u64_at(32), u64_at(40), u32_at(48), u32_at(52), h[64..96].to_vec()));
        match h[10] {
            1 => payload.chunks(16).enumerate().for_each(|(n, hash)| {
                hashes.insert(u32_at(12) + n, hash.try_into().expect("16"));
            }),
            _ => {
                recovery.insert(u32_at(12), payload);
            }
        }
    }
    let (len, shard, data, count, sha) = subject?;
    let good: Vec<Option<Vec<u8>>> = (0..data)
        .map(|i| {
            let end = ((i + 1) * shard).min(len);
            let mut bytes = damaged.get(i * shard..end)?.to_vec();
            let whole = hashes.get(&i) == Some(&short_hash(&bytes));
            bytes.resize(shard, 0);
            whole.then_some(bytes)
        })
        .collect();
    let lost: Vec<usize> = (0..data).filter(|&i| good[i].is_none()).collect();
    if lost.len() > recovery.len() {
        return None;
    }
    let matrix = field.matrix(data, count);
    // One equation for each lost shard: a recovery shard, less what the good shards contribute to it.
    let mut rows: Vec<(Vec<u16>, Vec<u16>)> = recovery
        .iter()
        .take(lost.len())
        .map(|(&j, bytes)| {
            let mut right = elements(bytes);
            for (i, shard) in good.iter().enumerate() {
                if let Some(shard) = shard {
                    right.iter_mut().zip(elements(shard)).for_each(|(r, d)| *r ^= field.mul(matrix[j][i], d));
                }
            }
            (lost.iter().map(|&i| matrix[j][i]).collect(), right)
        })
        .collect();
    for column in 0..lost.len() {
        let pivot = (column..rows.len()).find(|&r| rows[r].0[column] != 0)?;
        rows.swap(column, pivot);
        let scale = field.inverse(rows[column].0[column]);
        let (left, right) = &mut rows[column];
        left.iter_mut().chain(right).for_each(|x| *x = field.mul(*x, scale));
        let (left, right) = rows[column].clone();
        for (r, row) in rows.iter_mut().enumerate().filter(|(r, _)| *r != column) {
            assert_ne!(r, column);
            let factor = row.0[column];
            row.0.iter_mut().zip(&left).for_each(|(x, &p)| *x ^= field.mul(factor, p));
            row.1.iter_mut().zip(&right).for_each(|(x, &p)| *x ^= field.mul(factor, p));
        }
    }
    let mut mended = rows.into_iter().map(|(_, right)| bytes_of(&right));
    let mut file: Vec<u8> = good.into_iter().flat_map(|g| g.unwrap_or_else(|| mended.next().expect("a row"))).collect();
    file.truncate(len);
    (Sha256::digest(&file).to_vec() == sha).then_some(file)
}
