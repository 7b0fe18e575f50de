package selection

import (
	"cmp"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"

	"coin.internal/coin-agent/internal/lazyregexp"
)

var (
	leadingDate = lazyregexp.New(`^\d{4}-\d{2}-\d{2}`)
	version     = lazyregexp.New(`\d+(?:\.\d+)*`)
	number      = lazyregexp.New(`\d+`)
)

// agesOf gives the function that reads the age of a tag from its name: the numbers in the
// pattern's first groups, as far as those match numbers only. Without such a group they are
// those of a leading date, or of the first version number.
func agesOf(pattern *regexp.Regexp) func(name string) []string {
	groups := numericGroups(pattern.String())
	return func(name string) []string {
		text := leadingDate().FindString(name)
		if match := pattern.FindStringSubmatch(name); groups > 0 && match != nil {
			text = strings.Join(match[1:groups+1], " ")
		} else if text == "" {
			text = version().FindString(name)
		}
		return number().FindAllString(text, -1)
	}
}

// Newest gives the names that match a pattern, the newest by their age first. Names of the same
// age keep their order.
func Newest(pattern *regexp.Regexp, names []string) []string {
	age := agesOf(pattern)
	matching := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !pattern.MatchString(name) })
	slices.SortStableFunc(matching, func(a, b string) int { return compareAges(age(b), age(a)) })
	return matching
}

// compareAges compares numbers one by one; missing ones come first.
func compareAges(a, b []string) int {
	return slices.CompareFunc(a, b, func(a, b string) int {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
	})
}

// numericGroups counts the groups at the beginning of a pattern that match no letters: the
// hash of a commit is not an age.
func numericGroups(pattern string) (count int) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0
	}
	var groups []*syntax.Regexp
	var find func(*syntax.Regexp)
	find = func(one *syntax.Regexp) {
		if one.Op == syntax.OpCapture {
			groups = append(groups, one)
		}
		for _, sub := range one.Sub {
			find(sub)
		}
	}
	find(parsed)
	slices.SortStableFunc(groups, func(a, b *syntax.Regexp) int { return cmp.Compare(a.Cap, b.Cap) })
	for _, group := range groups {
		if matchesLetters(group) {
			break
		}
		count++
	}
	return count
}

// matchesLetters reports whether an expression can match a letter.
func matchesLetters(one *syntax.Regexp) bool {
	if one.Op == syntax.OpAnyChar || one.Op == syntax.OpAnyCharNotNL || one.Op == syntax.OpLiteral && slices.ContainsFunc(one.Rune, unicode.IsLetter) {
		return true
	}
	for i := 0; one.Op == syntax.OpCharClass && i+1 < len(one.Rune); i += 2 { // ranges of runes
		if one.Rune[i] <= 'z' && one.Rune[i+1] >= 'A' || one.Rune[i+1] > unicode.MaxASCII {
			return true
		}
	}
	return slices.ContainsFunc(one.Sub, matchesLetters)
}
