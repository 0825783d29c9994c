//! Tokens: hashes and what they allow.

use jiff::Timestamp;
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

    /// Keeps a token. Its name must be nobody else's: it says whose a server
    /// is, and no other live token may have it, in whatever case.
    ///
    /// # Errors
    /// `token_name_taken`, or if the database fails.
    pub async fn insert_token(&self, token: Token) -> Result<()> {
        self.write(move |txn| {
            let bytes = codec::encode(&token)?;
            let mut table = txn.open_table(tables::TOKENS).map_err(codec::db)?;
            for row in table.iter().map_err(codec::db)? {
                let other: Token = codec::decode(row.map_err(codec::db)?.1.value())?;
                if other.name.eq_ignore_ascii_case(&token.name) && other.is_live(token.created_at) {
                    return Err(Error::token_name_taken(&token.name));
                }
            }
            table
                .insert(token.id.0.as_u128(), bytes.as_slice())
                .map_err(codec::db)?;
            Ok(())
        })
        .await
    }

    /// Keeps when tokens were last used. Those revoked meanwhile stay so.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn save_token_uses(&self, uses: Vec<(TokenId, Timestamp)>) -> Result<()> {
        self.write(move |txn| {
            let mut table = txn.open_table(tables::TOKENS).map_err(codec::db)?;
            for (id, at) in uses {
                let key = id.0.as_u128();
                let stored = table.get(key).map_err(codec::db)?;
                let Some(mut token) = stored
                    .map(|bytes| codec::decode::<Token>(bytes.value()))
                    .transpose()?
                else {
                    continue;
                };
                token.last_used_at = Some(at);
                let bytes = codec::encode(&token)?;
                table.insert(key, bytes.as_slice()).map_err(codec::db)?;
            }
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
