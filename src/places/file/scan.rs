//! Scans the places of a band of latitude in a [`Dat`], from south to north, through fixed buffers.
//!
//! This module must not know distances or the meaning of longitudes. Invariant: for any content of a file, a scan reads
//! each block at most once and ends.

use crate::places::error::PlacesError;
use crate::places::file::format::{
    BLOCK_BYTES, BLOCK_PLACES_MAX, BLOCKS_WINDOW, COORDINATE_BYTES, COORDINATES_WINDOW, Dat, FENCES,
    HEADER_BYTES, Scratch, Spot, u32_at,
};

impl Dat {
    /// Calls `found` with each place whose latitude lies in `low_udeg..=high_udeg`, from south to north.
    ///
    /// # Errors
    /// A failed read, or blocks that contradict each other.
    pub fn scan_band(
        &self,
        low_udeg: i32,
        high_udeg: i32,
        scratch: &mut Scratch,
        mut found: impl FnMut(Spot),
    ) -> Result<(), PlacesError> {
        let mut window = Window { first: 0, count: 0 };
        let mut block = self.first_block(low_udeg)?;
        let mut blocks = Window { first: 0, count: 0 };
        while block < self.blocks {
            if block + 1 >= blocks.first + blocks.count || blocks.count == 0 {
                blocks = self.read_blocks(block, &mut scratch.blocks)?;
            }
            let head = block_at(&scratch.blocks, block - blocks.first);
            let next = block_at(&scratch.blocks, block - blocks.first + 1);
            block += 1;
            if head.latitude_udeg > high_udeg {
                break;
            }
            // No latitude of this block is above the first latitude of the next block.
            if next.latitude_udeg < low_udeg {
                continue;
            }
            let count =
                next.number.checked_sub(head.number).filter(|count| (1..=BLOCK_PLACES_MAX).contains(count));
            let (Some(count), true) = (count, next.number <= self.places) else {
                return Err(self.corrupt("its blocks are not in order"));
            };
            if head.number < window.first || next.number > window.first + window.count {
                window = self.read_coordinates(head.number, &mut scratch.coordinates)?;
            }
            let begin = ((head.number - window.first) * COORDINATE_BYTES) as usize;
            let bytes = &scratch.coordinates[begin..begin + (count * COORDINATE_BYTES) as usize];
            for (nth, entry) in (0_u8..).zip(bytes.chunks_exact(COORDINATE_BYTES as usize)) {
                let above = u16::from_le_bytes([entry[0], entry[1]]);
                let latitude_udeg = head.latitude_udeg.saturating_add(i32::from(above));
                if (low_udeg..=high_udeg).contains(&latitude_udeg) {
                    let longitude_udeg = i32::from_le_bytes([entry[2], entry[3], entry[4], entry[5]]);
                    let number = head.number + u32::from(nth);
                    found(Spot { number, latitude_udeg, longitude_udeg, block_text_at: head.text_at, nth });
                }
            }
        }
        Ok(())
    }

    /// A block where a scan from that latitude can begin: the first block, or one that begins south of it. It is at most one
    /// read of blocks before the exact one.
    fn first_block(&self, latitude_udeg: i32) -> Result<u32, PlacesError> {
        let fences = self.fences_udeg.partition_point(|&fence_udeg| fence_udeg < latitude_udeg);
        let fence = u32::try_from(fences).unwrap_or(u32::MAX).saturating_sub(1);
        let step = self.blocks_per_fence();
        let mut low = fence.saturating_mul(step).min(self.blocks);
        let mut high = low.saturating_add(step).min(self.blocks);
        // Only a file of more than 8,064 blocks needs a binary search.
        while high - low >= BLOCKS_WINDOW {
            let middle = low + (high - low) / 2;
            if self.read_latitude(middle)? < latitude_udeg {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    fn read_latitude(&self, block: u32) -> Result<i32, PlacesError> {
        let mut bytes = [0; 4];
        let at = u64::from(HEADER_BYTES) + u64::from(block) * u64::from(BLOCK_BYTES);
        self.read(at, self.coordinates_at(), &mut bytes)?;
        Ok(i32::from_le_bytes(bytes))
    }

    fn blocks_per_fence(&self) -> u32 {
        self.blocks / FENCES + 1
    }

    /// Fills the fences. Fences past the last block stay `i32::MAX`.
    pub(crate) fn read_fences(&mut self) -> Result<(), PlacesError> {
        let starts = (0..self.blocks).step_by(self.blocks_per_fence() as usize);
        for (index, block) in starts.enumerate().take(FENCES as usize) {
            self.fences_udeg[index] = self.read_latitude(block)?;
        }
        Ok(())
    }

    /// Reads as many blocks from `first` as fit, at least it and its successor.
    fn read_blocks(&self, first: u32, buffer: &mut [u8]) -> Result<Window, PlacesError> {
        let at = u64::from(HEADER_BYTES) + u64::from(first) * u64::from(BLOCK_BYTES);
        self.read(at, self.coordinates_at(), buffer)?;
        Ok(Window { first, count: BLOCKS_WINDOW.min(self.blocks + 1 - first) })
    }

    /// Reads as many coordinates as fit, from the place with the number `first`. The file must have that place.
    fn read_coordinates(&self, first: u32, buffer: &mut [u8]) -> Result<Window, PlacesError> {
        let at = self.coordinates_at() + u64::from(first) * u64::from(COORDINATE_BYTES);
        self.read(at, u64::from(self.texts_at), buffer)?;
        Ok(Window { first, count: COORDINATES_WINDOW.min(self.places - first) })
    }
}

/// The range of places or blocks (the sentinel included) in a buffer.
struct Window {
    first: u32,
    count: u32,
}

struct Block {
    latitude_udeg: i32,
    number: u32,
    text_at: u32,
}

fn block_at(blocks: &[u8], index: u32) -> Block {
    let at = (index * BLOCK_BYTES) as usize;
    let latitude_udeg = i32::from_le_bytes([blocks[at], blocks[at + 1], blocks[at + 2], blocks[at + 3]]);
    Block { latitude_udeg, number: u32_at(blocks, at + 4), text_at: u32_at(blocks, at + 8) }
}
