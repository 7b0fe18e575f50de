package deploy

import (
	"math"
	"slices"
	"strings"

	"coin.internal/coin-agent/internal/lazyregexp"
)

// The values of environment variables are often secrets under names that do not say so. A
// plan shows a value only if neither its name nor its text looks secret; maskedvalues.go judges the
// name, and parts of the text.
var (
	// randomNames are the names of variables whose values look random and are not secret.
	randomNames = lazyregexp.New(`(?i)^(TAG|SV)_|(^|_)(TAG|VERSION|COMMIT|COMMIT_SHA|SHA|REVISION|DIGEST|IMAGE|RELEASE|BUILD|BUILD_ID|CHECKSUM)$`)
	// word matches the longest parts of a text that may be one random value.
	word    = lazyregexp.New(`[A-Za-z0-9+=!#$%^*~]+`)
	uuid    = lazyregexp.New(`(?i)\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`)
	hexWord = lazyregexp.New(`(?i)^[0-9a-f]+$`)
)

// shownValue gives the value of an environment variable as a plan shows it.
func shownValue(name, value string) string {
	if value == "" || randomNames().MatchString(name) || !looksRandom(value) {
		return value
	}
	return Hidden
}

// looksRandom reports whether a text has a part that a generator made, and no person: a UUID,
// or a word that changes between letters and digits more often than words and numbers do.
func looksRandom(text string) bool {
	if uuid().MatchString(text) {
		return true
	}
	for _, run := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" .,:;@&?|()[]{}\"'\n\t", r) }) {
		if slices.ContainsFunc(word().FindAllString(run, -1), randomWord) || randomRun(strings.NewReplacer("-", "", "_", "", "/", "").Replace(run)) {
			return true
		}
	}
	return false
}

// randomRun judges a text that has separators in it, as base64 has them by chance.
func randomRun(text string) bool {
	_, changes, _ := classes(text)
	return len(text) >= 20 && float64(changes) >= 0.45*float64(len(text)) && entropy(text) >= 4
}

func randomWord(text string) bool {
	text = strings.TrimRight(text, "=")
	kinds, changes, digits := classes(text)
	switch {
	case len(text) >= 16 && digits == len(text):
		return true // an account's or a card's number
	case len(text) >= 16 && hexWord().MatchString(text) && kinds > 1:
		return true
	case len(text) < 12 || kinds < 2:
		return false
	case len(text) >= 20 && kinds > 2 && entropy(text) >= 3.8:
		return true
	}
	return float64(changes) >= 0.35*float64(len(text)-1) && entropy(text) >= 3
}

// classes counts the classes of characters in a text, how often one follows another, and the
// digits.
func classes(text string) (kinds, changes, digits int) {
	seen := map[byte]bool{}
	for i := range len(text) {
		class := classOf(text[i])
		seen[class] = true
		if class == '0' {
			digits++
		}
		if i > 0 && class != classOf(text[i-1]) {
			changes++
		}
	}
	return len(seen), changes, digits
}

func classOf(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return '0'
	case c >= 'a' && c <= 'z':
		return 'a'
	case c >= 'A' && c <= 'Z':
		return 'A'
	}
	return '+'
}

// entropy gives the bits that each character of a text carries, by how often it has each.
func entropy(text string) float64 {
	counts := map[byte]int{}
	for i := range len(text) {
		counts[text[i]]++
	}
	bits := 0.0
	for _, count := range counts {
		share := float64(count) / float64(len(text))
		bits -= share * math.Log2(share)
	}
	return bits
}
