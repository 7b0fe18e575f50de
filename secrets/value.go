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

// Value is a secret in memory. Every way of printing, logging or marshalling it
// gives [redacted]; only Reveal gives the content, and only deploy calls it.
// The zero Value is no value: it has no content and is not known. Values share
// their content when copied, and cannot be compared with ==.
//
// The content stands behind a function because fmt and reflecting printers call
// no methods on the fields of others' structs: all they find here is an address.
type Value struct {
	open func() *buffer
}

type buffer struct{ content []byte }

// NewValue gives a known Value that takes content over: the caller must not use
// the slice any more.
func NewValue(content []byte) Value {
	if content == nil {
		content = []byte{} // known to be empty
	}
	held := &buffer{content: content}
	return Value{open: func() *buffer { return held }}
}

// sealed gives a Value that exists but whose content is not known.
func sealed() Value { return Value{} }

// Reveal gives the content itself, not a copy: it must not be changed, and is
// zeroed by Wipe. It is nil when the content is not known.
func (v Value) Reveal() []byte {
	if v.open == nil {
		return nil
	}
	return v.open().content
}

// Known tells whether the content is there: it is not in a value that was read
// without keys, nor after Wipe.
func (v Value) Known() bool { return v.open != nil && v.open().content != nil }

// Fingerprint gives a keyed digest of the content in hexadecimal, by which two
// contents are compared without showing either. It is empty when the content is
// not known or key is empty, since a digest without a key can be guessed at.
func (v Value) Fingerprint(key []byte) string {
	if !v.Known() || len(key) == 0 {
		return ""
	}
	return hex.EncodeToString(digest(key, "coin-agent secret fingerprint 1", v.Reveal()))
}

// digest is an HMAC-SHA256 over the parts, each led by its length so that no
// two lists of parts read the same.
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

// String hides the content from whoever prints the Value.
func (v Value) String() string { return redacted }

// GoString hides the content from whoever asks for Go syntax.
func (v Value) GoString() string { return redacted }

// LogValue hides the content from logs.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON hides the content from JSON.
func (v Value) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText hides the content from every text encoding.
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML hides the content from YAML.
func (v Value) MarshalYAML() (any, error) { return redacted, nil }

// Format hides the content from every verb of fmt.
func (v Value) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }
