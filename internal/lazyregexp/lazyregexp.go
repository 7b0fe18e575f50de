// Package lazyregexp compiles regular expressions when they are needed first: it takes the text of
// one and matches as package regexp does. A process neither spends the time nor keeps the memory for
// those that it does not use.
package lazyregexp

import (
	"regexp"
	"sync"
)

// Regexp is a regular expression that is compiled once. Its methods are those of regexp.Regexp, and
// may be called from many goroutines.
type Regexp struct{ compiled func() *regexp.Regexp }

// New gives a regular expression. The first use panics if it cannot be compiled.
func New(text string) *Regexp {
	return &Regexp{sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
}

// MatchString is that of regexp.Regexp.
func (r *Regexp) MatchString(text string) bool { return r.compiled().MatchString(text) }

// Match is that of regexp.Regexp.
func (r *Regexp) Match(text []byte) bool { return r.compiled().Match(text) }

// FindString is that of regexp.Regexp.
func (r *Regexp) FindString(text string) string { return r.compiled().FindString(text) }

// FindAllString is that of regexp.Regexp.
func (r *Regexp) FindAllString(text string, most int) []string {
	return r.compiled().FindAllString(text, most)
}

// FindStringSubmatch is that of regexp.Regexp.
func (r *Regexp) FindStringSubmatch(text string) []string {
	return r.compiled().FindStringSubmatch(text)
}

// FindAllStringSubmatch is that of regexp.Regexp.
func (r *Regexp) FindAllStringSubmatch(text string, most int) [][]string {
	return r.compiled().FindAllStringSubmatch(text, most)
}

// FindStringSubmatchIndex is that of regexp.Regexp.
func (r *Regexp) FindStringSubmatchIndex(text string) []int {
	return r.compiled().FindStringSubmatchIndex(text)
}

// FindAllStringSubmatchIndex is that of regexp.Regexp.
func (r *Regexp) FindAllStringSubmatchIndex(text string, most int) [][]int {
	return r.compiled().FindAllStringSubmatchIndex(text, most)
}

// FindSubmatch is that of regexp.Regexp.
func (r *Regexp) FindSubmatch(text []byte) [][]byte { return r.compiled().FindSubmatch(text) }

// FindSubmatchIndex is that of regexp.Regexp.
func (r *Regexp) FindSubmatchIndex(text []byte) []int { return r.compiled().FindSubmatchIndex(text) }

// FindAllSubmatch is that of regexp.Regexp.
func (r *Regexp) FindAllSubmatch(text []byte, most int) [][][]byte {
	return r.compiled().FindAllSubmatch(text, most)
}

// ReplaceAllString is that of regexp.Regexp.
func (r *Regexp) ReplaceAllString(text, by string) string {
	return r.compiled().ReplaceAllString(text, by)
}

// ReplaceAllStringFunc is that of regexp.Regexp.
func (r *Regexp) ReplaceAllStringFunc(text string, by func(string) string) string {
	return r.compiled().ReplaceAllStringFunc(text, by)
}
