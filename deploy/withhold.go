package deploy

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
)

// telling is how many characters in a row of a secret tell something of it.
const telling = 8

// errWithheld stands for an engine's words that must not be shown.
var errWithheld = errors.New("the engine refuses it; its words are withheld, since they quote the secret")

// withhold gives an engine's error about a secret, unless it quotes the content
// or a part of it: engines and proxies before them may answer with what they
// were sent.
func withhold(err error, content []byte) error {
	if err == nil || !quotes(err.Error(), content) {
		return err
	}
	return errWithheld
}

// quotes tells whether text holds a part of content, plain or as a request and
// common ways of printing have it.
func quotes(text string, content []byte) bool {
	for _, form := range []string{string(content), base64.StdEncoding.EncodeToString(content), hex.EncodeToString(content)} {
		if len(form) < telling {
			if form != "" && strings.Contains(text, form) {
				return true
			}
			continue
		}
		for start := 0; start+telling <= len(text); start++ {
			if strings.Contains(form, text[start:start+telling]) {
				return true
			}
		}
	}
	return false
}
