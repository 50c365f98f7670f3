//! JSON objects with known and unknown keys, for the records of the manifest.
//!
//! `record!` declares a struct whose known keys are its fields, written in the order of declaration and left out where
//! they say nothing, and whose field `extra` takes all other keys as the text they are. (serde's own `flatten` would
//! buffer every value, unknown ones included, in a form several times as large, and rewrite their numbers.)

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, Visitor};

use super::values::{Extra, JsonText, Real, Sha256Sum};

/// Whether a field says nothing and is therefore not written.
pub(super) trait Absent {
    fn is_absent(&self) -> bool;
}

impl<T> Absent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl Absent for String {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

/// A list whose key is written even where the list is empty is not to be declared as a plain `Vec`.
impl<T> Absent for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

macro_rules! never_absent {
    ($($type:ty),*) => { $(impl Absent for $type { fn is_absent(&self) -> bool { false } })* };
}
never_absent!(u16, u32, u64, Real, Sha256Sum, JsonText, Extra);

/// Reads a key into a string that is used again for the next.
pub(super) struct Key<'a>(pub &'a mut String);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: de::Error>(self, key: &str) -> Result<(), E> {
        self.0.clear();
        self.0.push_str(key);
        Ok(())
    }
}

/// The type and how it is written; `record!` adds how it is read.
macro_rules! record_type {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident : $type:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
            /// Keys that this version does not know.
            pub extra: $crate::manifest::values::Extra,
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                use $crate::manifest::record::Absent;
                let mut map = serializer.serialize_map(None)?;
                $( if !self.$field.is_absent() {
                    map.serialize_entry(stringify!($field), &self.$field)?;
                } )*
                for (key, value) in self.extra.iter() {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    };
}
pub(super) use record_type;

macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident : $type:ty, )*
        }
    ) => {
        $crate::manifest::record::record_type! {
            $(#[$meta])*
            pub struct $name {
                $( $(#[$field_meta])* pub $field: $type, )*
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Keys;
                impl<'de> serde::de::Visitor<'de> for Keys {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("a JSON object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut record = $name::default();
                        $( let mut $field = false; )*
                        let mut key = String::new();
                        while map.next_key_seed($crate::manifest::record::Key(&mut key))?.is_some() {
                            match key.as_str() {
                                $( stringify!($field) => {
                                    if std::mem::replace(&mut $field, true) {
                                        return Err(serde::de::Error::duplicate_field(stringify!($field)));
                                    }
                                    if let Some(value) = map.next_value::<Option<$type>>()? {
                                        record.$field = value;
                                    }
                                } )*
                                _ => {
                                    let value = map.next_value()?;
                                    record.extra.push(key.clone(), value);
                                }
                            }
                        }
                        Ok(record)
                    }
                }
                deserializer.deserialize_map(Keys)
            }
        }
    };
}
pub(super) use record;
