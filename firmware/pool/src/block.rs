//! A whole block as it goes to `submitblock`. Nothing else of a block is of interest to a pool.

use model::Header;

use crate::{coinbase, hex, template::Template};

/// The hex of the block with this header and coinbase (the form without witness) and the template's transactions.
#[must_use]
pub fn assemble(header: &Header, coinbase: &[u8], template: &Template) -> String {
    let mut block = header.to_bytes().to_vec();
    coinbase::push_count(&mut block, 1 + template.transactions.len());
    if template.witness_commitment.is_some() {
        block.extend(coinbase::with_witness(coinbase));
    } else {
        block.extend(coinbase);
    }
    for t in &template.transactions {
        block.extend(&t.data);
    }
    hex::encode(&block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Transaction;
    use model::{Hash, sha256d};

    /// Bitcoin's block 170, the first with a payment, put together from its parts.
    #[test]
    fn block_170_comes_out_as_it_is() {
        let coinbase = hex::decode(concat!(
            "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff0704ffff001d0102ffffffff0100f2052a",
            "01000000434104d46c4968bde02899d2aa0963367c7a6ce34eec332b32e42e5f3407e052d64ac625da6f0718e7b302140434bd725706957c092db",
            "53805b821a85b23a7ac61725bac00000000"
        ))
        .expect("hex");
        let payment = hex::decode(concat!(
            "0100000001c997a5e56e104102fa209c6a852dd90660a20b2d9c352423edce25857fcd3704000000004847304402204e45e16932b8af514961a1",
            "d3a1a25fdf3f4f7732e9d624c6c61548ab5fb8cd410220181522ec8eca07de4860a4acdd12909d831cc56cbbac4622082221a8768d1d0901ffff",
            "ffff0200ca9a3b00000000434104ae1a62fe09c5f51b13905f07f06b99a2f7159b2225f374cd378d71302fa28414e7aab37397f554a7df5f142c",
            "21c1b7303b8a0626f1baded5c72a704f7e6cd84cac00286bee0000000043410411db93e1dcdb8a016b49840f8c53bc1eb68a382e97b1482ecad7",
            "b148a6909a5cb2e0eaddfb84ccf9744464f82e160bfa9b8b64f9d4c03f999b8643f656b412a3ac00000000"
        ))
        .expect("hex");
        let txid = sha256d(&payment);
        assert_eq!(txid.to_explorer_hex(), "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16");
        let header = Header {
            version: 1,
            previous: hex::hash("000000002a22cfee1f2c846adbd12b3e183d4f97683f85dad08a79780a84bd55").expect("hash"),
            merkle_root: coinbase::merkle_branch(&[txid])
                .iter()
                .fold(sha256d(&coinbase), |node, sibling| sha256d(&[node.0, sibling.0].concat())),
            time: 1_231_731_025,
            bits: 0x1d00_ffff,
            nonce: 1_889_418_792,
        };
        assert_eq!(header.hash().to_explorer_hex(), "00000000d1145790a8694403d4063f323d499e655c83426834d4ce2f8dd4a2ee");
        let template = Template {
            version: 1,
            previous: Hash::default(),
            height: 170,
            bits: header.bits,
            time: 0,
            min_time: 0,
            coinbase_value: 5_000_000_000,
            transactions: vec![Transaction { data: payment, txid }],
            witness_commitment: None,
            longpoll_id: None,
        };
        let block = assemble(&header, &coinbase, &template);
        assert_eq!(block.len(), 2 * 490); // the block's size on the chain
        assert_eq!(&block[160..170], "0201000000");
        let with_commitment = Template { witness_commitment: Some(vec![0x6a]), ..template };
        assert_eq!(assemble(&header, &coinbase, &with_commitment).len(), 2 * (490 + 36));
    }
}
