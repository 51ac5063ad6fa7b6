#!/bin/sh
# Written at every start of the server, which runs it for each file of its write-ahead log: archive.sh PATH NAME
# Ends with 0 only when the file lies whole and on the disk in the archive. Nothing there is ever written over.
set -eu
umask 077
from=$1
name=$2
into=@INTO@

fail() {
    echo "archive: $1; the database keeps $name until it can be archived" >&2
    exit 1
}

[ -d "$into" ] || fail "the folder $into is not there"
[ -w "$into" ] || fail "the folder $into cannot be written"
if [ -e "$into/$name.gz" ]; then
    # Archived before a crash that the server did not see the answer for.
    there=$(gzip -dc "$into/$name.gz" | sha256sum) || there=damaged
    [ "$there" = "$(sha256sum <"$from")" ] || fail "$into/$name.gz is there and is something else; it was left alone"
else
    gzip -c <"$from" >"$into/.$name.part" || fail "$into/.$name.part could not be written"
    sync "$into/.$name.part"
    mv -n "$into/.$name.part" "$into/$name.gz"
    [ ! -e "$into/.$name.part" ] || fail "$into/$name.gz is there and is something else; it was left alone"
fi
sync "$into/$name.gz" "$into"
