//! Tokens: hashes and what they allow.

use jiff::Timestamp;
use redb::ReadableTable;

use super::{Store, codec, tables};
use crate::model::{Error, Holdings, OwnQuota, Quota, Result, Token, TokenId};

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
    /// is, and no other live token may have it, in whatever case. Nor may its
    /// maker have made more than `quota` allows, if one is given.
    ///
    /// # Errors
    /// `token_name_taken`, `quota_tokens`, or if the database fails.
    pub async fn insert_token(&self, token: Token, quota: Option<Quota>) -> Result<()> {
        self.write(move |txn| {
            let bytes = codec::encode(&token)?;
            let mut table = txn.open_table(tables::TOKENS).map_err(codec::db)?;
            let mut made = Holdings {
                tokens: 1,
                ..Holdings::default()
            };
            let grown_by = made;
            for row in table.iter().map_err(codec::db)? {
                let other: Token = codec::decode(row.map_err(codec::db)?.1.value())?;
                made.tokens += u64::from(other.created_by == token.created_by);
                if other.name.eq_ignore_ascii_case(&token.name) && other.is_live(token.created_at) {
                    return Err(Error::token_name_taken(&token.name));
                }
            }
            if let Some(quota) = quota {
                quota.require(&token.created_by, grown_by, made)?;
            }
            table
                .insert(token.id.0.as_u128(), bytes.as_slice())
                .map_err(codec::db)?;
            Ok(())
        })
        .await
    }

    /// Gives a token's holder a quota of their own.
    ///
    /// # Errors
    /// `token_not_found`, or if the database fails.
    pub async fn set_token_quota(&self, id: TokenId, quota: OwnQuota) -> Result<Token> {
        self.write(move |txn| {
            let key = id.0.as_u128();
            let mut table = txn.open_table(tables::TOKENS).map_err(codec::db)?;
            let stored = table.get(key).map_err(codec::db)?;
            let token = stored.map(|bytes| codec::decode::<Token>(bytes.value()));
            let token = Token {
                quota,
                ..token.transpose()?.ok_or_else(|| no_token(id))?
            };
            let bytes = codec::encode(&token)?;
            table.insert(key, bytes.as_slice()).map_err(codec::db)?;
            Ok(token)
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
            Err(no_token(id))
        })
        .await
    }
}

fn no_token(id: TokenId) -> Error {
    Error::NotFound {
        code: "token_not_found",
        message: format!("there is no token with the id \"{id}\""),
    }
}
