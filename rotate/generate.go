package rotate

import (
	"crypto/rand"
	"math"
	"math/big"
	"strings"
	"unicode"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/secrets"
)

// Generate says how to make a new value.
type Generate struct {
	Length  int    // in characters
	Charset string // alnum, hex, base64, ascii, or the characters themselves; "" for alnum
}

const (
	alnum     = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	maxLength = 4096
	weakBits  = 64 // fewer can be found by trying
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
				"the charset has a character twice, or one that cannot be printed")
		}
		seen[r] = true
	}
	if len(seen) < 2 || len(seen) > 256 {
		return nil, fault.New(fault.Place{}, "name alnum, hex, base64 or ascii, or give the characters themselves",
			"the charset has %d characters; it needs 2 to 256", len(seen))
	}
	return []rune(set), nil
}

// Check returns an error if such a value cannot be made.
func (g Generate) Check() error {
	if _, err := g.characters(); err != nil {
		return err
	}
	if g.Length < 1 || g.Length > maxLength {
		return fault.New(fault.Place{}, "choose a length such as --generate 32", "cannot generate a value of %d characters; the length is 1 to %d", g.Length, maxLength)
	}
	return nil
}

// bits is the entropy of such a value.
func (g Generate) bits() float64 {
	set, _ := g.characters()
	return float64(g.Length) * math.Log2(float64(len(set)))
}

// value makes a value, each character as likely as any other.
func (g Generate) value() (secrets.Value, error) {
	set, err := g.characters()
	if err != nil {
		return secrets.Value{}, err
	}
	made := make([]byte, 0, g.Length*len(string(set))/len(set)+g.Length)
	count := big.NewInt(int64(len(set)))
	for range g.Length {
		at, err := rand.Int(rand.Reader, count)
		if err != nil {
			return secrets.Value{}, err
		}
		made = append(made, string(set[at.Int64()])...)
	}
	return secrets.NewValue(made), nil
}

// names joins names for output.
func names(all []string) string { return strings.Join(all, ", ") }
