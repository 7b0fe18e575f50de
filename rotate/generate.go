package rotate

import (
	"crypto/rand"
	"fmt"
	"math"
	"strings"
	"unicode"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// Generate says how a new value is made.
type Generate struct {
	Length  int    // in characters
	Charset string // alnum, hex, base64, ascii, or the characters themselves; "" for alnum
}

const (
	alnum     = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	maxLength = 4096
	weakBits  = 64
)

// characters gives the set that a charset names.
func (g Generate) characters() ([]rune, error) {
	set := g.Charset
	switch set {
	case "", "alnum":
		set = alnum
	case "hex":
		set = "0123456789abcdef"
	case "base64":
		set = alnum + "+/"
	case "ascii":
		set = ""
		for r := '!'; r <= '~'; r++ {
			set += string(r)
		}
	}
	seen := map[rune]bool{}
	for _, r := range set {
		if seen[r] || r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return nil, fault.New(fault.Place{}, "name alnum, hex, base64 or ascii, or give at least two printable characters, each once",
				"the charset has characters that are there twice or cannot be printed")
		}
		seen[r] = true
	}
	if len(seen) < 2 || len(seen) > 256 {
		return nil, fault.New(fault.Place{}, "name alnum, hex, base64 or ascii, or give the characters themselves",
			"the charset has %d characters; 2 to 256 can be used", len(seen))
	}
	return []rune(set), nil
}

// Check says what is wrong with how a value is to be made, before anything else
// is done.
func (g Generate) Check() error {
	if _, err := g.characters(); err != nil {
		return err
	}
	if g.Length < 1 || g.Length > maxLength {
		return fault.New(fault.Place{}, "32 is usual", "a value of %d characters cannot be generated; 1 to %d can", g.Length, maxLength)
	}
	return nil
}

// weak warns of a value that can be guessed.
func (g Generate) weak() string {
	set, err := g.characters()
	bits := float64(g.Length) * math.Log2(float64(len(set)))
	if err != nil || bits >= weakBits {
		return ""
	}
	return fmt.Sprintf("the generated value has only %.0f bits: whoever can try often enough finds it", math.Floor(bits))
}

// value makes a value, each character as likely as any other.
func (g Generate) value() (secrets.Value, error) {
	set, err := g.characters()
	if err != nil {
		return secrets.Value{}, err
	}
	limit := 256 - 256%len(set) // bytes from here on would favour the first characters
	made := make([]byte, 0, g.Length*len(string(set))/len(set)+g.Length)
	random := make([]byte, 64)
	defer clear(random)
	for count := 0; count < g.Length; {
		if _, err := rand.Read(random); err != nil {
			return secrets.Value{}, fmt.Errorf("generate the value: %w", err)
		}
		for _, b := range random {
			if int(b) < limit && count < g.Length {
				made = append(made, string(set[int(b)%len(set)])...)
				count++
			}
		}
	}
	return secrets.NewValue(made), nil
}

// names joins names for people.
func names(all []string) string { return strings.Join(all, ", ") }
