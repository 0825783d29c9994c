//! What the table of a server's settings becomes: the settings themselves, the
//! two bodies that bring them, and what reads, compares and names them.

macro_rules! server_settings {
    (
        from its creation on:
        $(
            $(#[doc = $doc:tt])+
            $name:ident: $kept:ty = $effect:ident, $part:ident $(#[$sent_as:meta])* $sent:ty;
        )+
        once it is there:
        $(
            $(#[doc = $later_doc:tt])+
            $later:ident: $later_kept:ty = $later_effect:ident,
                $(#[$later_sent_as:meta])* $later_sent:ty;
        )+
    ) => {
        /// What is set of a server.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
        #[serde(default)]
        pub struct ServerSettings {
            $(
                $(#[doc = $doc])+
                #[schema(required = true)]
                pub $name: $kept,
            )+
            $(
                $(#[doc = $later_doc])+
                #[schema(required = true)]
                pub $later: $later_kept,
            )+
        }

        /// A change of what may change without new code: what is absent stays.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct PatchServer {
            $(
                $(#[doc = $doc])+
                $(#[$sent_as])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$sent>,
            )+
            $(
                $(#[doc = $later_doc])+
                $(#[$later_sent_as])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $later: Option<$later_sent>,
            )+
            /// Whom the server belongs to besides its creator, by name, the whole
            /// list: as much theirs, but for adding others. That they are people
            /// whom there are, and who may say so, `services::servers::members`
            /// knows.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub members: Option<Vec<String>>,
        }

        /// A new server as it is sent.
        // Not `Debug`: its variables may be secrets.
        #[derive(Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct CreateServerBody {
            /// Its name.
            #[schema(required = true, value_type = String, max_length = 40, pattern = "^[a-z0-9](-?[a-z0-9])*$")]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub name: Option<String>,
            /// One Python file.
            #[schema(required = true, value_type = String, pattern = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$")]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub code: Option<String>,
            /// Its variables.
            #[schema(value_type = Option<Vec<RawEnvVar>>, max_items = 200)]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub env: Option<Value>,
            /// Whether to start it at once; true by default.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub start: Option<bool>,
            $(
                $(#[doc = $doc])+
                $(#[$sent_as])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$sent>,
            )+
        }

        impl ServerSettings {
            /// These settings with what was sent in their place.
            ///
            /// # Errors
            /// The code of the first field that is wrong.
            pub fn with(&self, sent: PatchServer, maxima: &Maxima) -> Result<Self> {
                Ok(Self {
                    $($name: match sent.$name {
                        Some(sent) => Setting::set(sent, &self.$name, maxima)?,
                        None => self.$name.clone(),
                    },)+
                    $($later: match sent.$later {
                        Some(sent) => Setting::set(sent, &self.$later, maxima)?,
                        None => self.$later.clone(),
                    },)+
                })
            }

            /// What is another than it was before.
            pub fn changes_since(&self, before: &Self) -> Vec<Change> {
                let all = [
                    $((stringify!($name), Effect::$effect, self.$name != before.$name),)+
                    $((stringify!($later), Effect::$later_effect, self.$later != before.$later),)+
                ];
                all.into_iter()
                    .filter(|(_, _, is_changed)| *is_changed)
                    .map(|(field, effect, _)| Change { field, effect })
                    .collect()
            }
        }

        impl CreateServerBody {
            /// The settings that came with a new server.
            pub fn take_settings(&mut self) -> PatchServer {
                PatchServer {
                    $($name: self.$name.take(),)+
                    ..PatchServer::default()
                }
            }
        }

        impl PatchServer {
            /// What a form of a new server may set.
            pub const IN_A_FORM: &[&str] = &[$(stringify!($name),)+];

            /// Takes a part of a new server's form, or gives it back if it is
            /// none of the settings.
            ///
            /// # Errors
            /// `duplicate_field`, or what the part is refused with.
            pub fn take_part<P: Part>(&mut self, name: &str, part: P) -> Result<Option<P>> {
                match name {
                    $(stringify!($name) => {
                        fill_once(&mut self.$name, stringify!($name), part.$part(stringify!($name))?)?;
                    })+
                    _ => return Ok(Some(part)),
                }
                Ok(None)
            }

            /// An empty text of a new server is a field that was not filled in.
            fn leave_out_blanks(&mut self) {
                $(leave_out_blank!($part, self.$name);)+
            }
        }
    };
}

macro_rules! leave_out_blank {
    (text, $sent:expr) => {
        $sent.take_if(|text| text.is_empty());
    };
    ($other:ident, $sent:expr) => {};
}
