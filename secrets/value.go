package secrets

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// MaxSize is the largest content of a secret in bytes that Swarm takes (swarmkit's api/validation).
const MaxSize = 500<<10 - 1

// Value is a secret in memory. Printing, logging and marshalling it give [redacted].
// Only Reveal returns the content, and only deploy calls it. The zero Value is unknown.
// Copies of a Value share its content. Values cannot be compared with ==.
//
// The content is behind a function, because fmt and reflecting printers do not call
// methods of unexported fields in other structs. They find only an address.
type Value struct {
	open func() *buffer
}

type buffer struct{ content []byte }

// NewValue returns a known Value that owns content: the caller must no longer use the
// slice.
func NewValue(content []byte) Value {
	if content == nil {
		content = []byte{} // known to be empty
	}
	held := &buffer{content: content}
	return Value{open: func() *buffer { return held }}
}

// sealed returns an unknown Value.
func sealed() Value { return Value{} }

// Reveal returns the content, not a copy. The caller must not change it, and Wipe zeroes
// it. It is nil if the Value is unknown.
func (v Value) Reveal() []byte {
	if v.open == nil {
		return nil
	}
	return v.open().content
}

// Known reports whether the Value has content. It has none if it was read without keys,
// and after Wipe.
func (v Value) Known() bool { return v.open != nil && v.open().content != nil }

// Fingerprint returns a keyed digest of the content in hexadecimal, which can be compared
// without the content. It is empty if the Value is unknown, or if key is empty, because a
// digest without a key allows guessing.
func (v Value) Fingerprint(key []byte) string {
	if !v.Known() || len(key) == 0 {
		return ""
	}
	return hex.EncodeToString(digest(key, "coin-agent secret fingerprint 1", v.Reveal()))
}

// digest returns an HMAC-SHA256 of the parts. Each part has its length as prefix, so that
// different lists give different digests.
func digest(key []byte, domain string, parts ...[]byte) []byte {
	mac := hmac.New(sha256.New, key)
	for _, part := range append([][]byte{[]byte(domain)}, parts...) {
		_, _ = fmt.Fprintf(mac, "%d:", len(part))
		mac.Write(part)
	}
	return mac.Sum(nil)
}

// Wipe zeroes the content, for all copies of the Value.
func (v Value) Wipe() {
	if v.open == nil {
		return
	}
	held := v.open()
	clear(held.content)
	held.content = nil
}

// String hides the content from conversions to text.
func (v Value) String() string { return redacted }

// LogValue hides the content from logs.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the content from every encoding, such as JSON, YAML and XML.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Format hides the content from every verb of fmt.
func (v Value) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }
