//! Tokens: hashes and what they allow.

use redb::ReadableTable;

use super::{Store, codec, tables};
use crate::model::{Error, Result, Token, TokenId};

impl Store {
    /// All tokens.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn load_tokens(&self) -> Result<Vec<Token>> {
        self.read(|txn| {
            let table = txn.open_table(tables::TOKENS).map_err(codec::db)?;
            table
                .iter()
                .map_err(codec::db)?
                .map(|row| codec::decode(row.map_err(codec::db)?.1.value()))
                .collect()
        })
        .await
    }

    /// Keeps a token.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn insert_token(&self, token: Token) -> Result<()> {
        self.write(move |txn| {
            let bytes = codec::encode(&token)?;
            let mut table = txn.open_table(tables::TOKENS).map_err(codec::db)?;
            table
                .insert(token.id.0.as_u128(), bytes.as_slice())
                .map_err(codec::db)?;
            Ok(())
        })
        .await
    }

    /// Forgets a token.
    ///
    /// # Errors
    /// `token_not_found`, or if the database fails.
    pub async fn delete_token(&self, id: TokenId) -> Result<()> {
        self.write(move |txn| {
            let mut table = txn.open_table(tables::TOKENS).map_err(codec::db)?;
            let removed = table.remove(id.0.as_u128()).map_err(codec::db)?.is_some();
            if removed {
                return Ok(());
            }
            Err(Error::NotFound {
                code: "token_not_found",
                message: format!("there is no token with the id \"{id}\""),
            })
        })
        .await
    }
}
