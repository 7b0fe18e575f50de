// Package lazyregexp compiles regular expressions when they are first needed: it takes the text of one
// and gives it compiled. A process neither spends time nor keeps memory for those that it does not use.
package lazyregexp

import (
	"os"
	"regexp"
	"strings"
	"sync"
)

// Regexp gives a regular expression, which it compiles at its first call.
type Regexp func() *regexp.Regexp

// New makes a Regexp. It panics if the text cannot be compiled: in a test program at once, otherwise
// at the first call.
func New(text string) Regexp {
	if strings.HasSuffix(os.Args[0], ".test") {
		_ = regexp.MustCompile(text)
	}
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
