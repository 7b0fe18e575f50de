package selection_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/selection"
	gitsync "coin.internal/coin-agent/sync"
)

const dated = `^\d{4}-\d{2}-\d{2}-[a-f0-9]{10}$`

// descends reads the history from the commits' names: abc descends from ab and a. A commit x…
// is on another branch.
func descends(older, newer string) (bool, error) { return strings.HasPrefix(newer, older), nil }

func tag(name, commit string) gitsync.Tag { return gitsync.Tag{Name: name, Commit: commit} }

func TestChoose(t *testing.T) {
	const january, february, march, evil = "2026-01-10-aaaaaaaaaa", "2026-02-10-bbbbbbbbbb", "2026-03-10-cccccccccc", "2099-01-01-eeeeeeeeee"
	runs := func(name, commit string) selection.Record {
		return selection.Record{Last: tag(name, commit), Kept: true, Runs: commit}
	}
	all := []gitsync.Tag{tag(january, "a"), tag(february, "ab"), tag(march, "abc")}
	for name, test := range map[string]struct {
		pattern string
		tags    []gitsync.Tag
		on      selection.Record
		want    string
		told    []string // words of each
	}{
		"first":                           {dated, all, selection.Record{}, march, nil},
		"the newest runs":                 {dated, all, runs(march, "abc"), march, nil},
		"a newer one":                     {dated, all, runs(january, "a"), march, nil},
		"dated 2099 on the oldest":        {dated, append([]gitsync.Tag{tag(evil, "a")}, all...), runs(march, "abc"), march, []string{evil + " is not followed"}},
		"2099 does not block others":      {dated, append([]gitsync.Tag{tag(evil, "a")}, all...), runs(february, "ab"), march, []string{evil + " is not followed"}},
		"2099 on another branch":          {dated, append([]gitsync.Tag{tag(evil, "x")}, all...), runs(february, "ab"), march, []string{"does not descend from ab, which runs; `agent sync --to " + evil}},
		"older by name, newer by history": {dated, []gitsync.Tag{tag(march, "ab"), tag(january, "abc")}, runs(march, "ab"), march, nil},
		"deleted":                         {dated, all[:2], runs(march, "abc"), march, []string{march + " was deleted; commit abc stays"}},
		"moved on":                        {dated, []gitsync.Tag{tag(march, "abcd")}, runs(march, "abc"), march, []string{march + " was moved from abc to abcd"}},
		"moved back":                      {dated, []gitsync.Tag{tag(march, "a")}, runs(march, "abc"), march, []string{march + " was moved from abc to a"}},
		"deleted, and a newer one":        {dated, all[1:], runs(january, "a"), march, []string{january + " was deleted"}},
		"withdrawn before its rollout":    {dated, all[:2], selection.Record{Last: tag(march, "abc"), Runs: "ab"}, february, []string{march + " was deleted"}},
		"moved before its rollout":        {dated, append(all[:2:2], tag(march, "abd")), selection.Record{Last: tag(march, "abc"), Runs: "ab"}, february, []string{march + " was moved"}},
		"failed, and stays":               {dated, all, selection.Record{Last: tag(march, "abc"), Runs: "ab"}, march, nil},
		"the same day, by history":        {dated, []gitsync.Tag{tag("2026-01-10-ffffffffff", "ab"), tag("2026-01-10-0000000000", "abc")}, runs("2026-01-10-ffffffffff", "ab"), "2026-01-10-0000000000", nil},
		"the same day, first":             {dated, []gitsync.Tag{tag("2026-01-10-ffffffffff", "ab"), tag("2026-01-10-0000000000", "abc")}, selection.Record{}, "2026-01-10-0000000000", nil},
		"the same day, before":            {dated, []gitsync.Tag{tag("2026-01-10-ffffffffff", "a"), tag("2026-01-10-0000000000", "ab")}, runs("2026-01-10-0000000000", "ab"), "2026-01-10-0000000000", nil},
		"asked for an older one":          {dated, all, selection.Record{Last: tag(january, "a"), Kept: true, Runs: "a", Over: february}, march, nil},
		"asked, nothing newer":            {dated, all[:2], selection.Record{Last: tag(january, "a"), Kept: true, Runs: "a", Over: february}, january, nil},
		"asked, on the same day":          {dated, append(all[:2:2], tag("2026-02-10-dddddddddd", "abd")), selection.Record{Last: tag(january, "a"), Kept: true, Runs: "a", Over: february}, "2026-02-10-dddddddddd", nil},
		"a name for shells":               {`^v`, []gitsync.Tag{tag("v9$(reboot)", "x"), tag("v1", "a")}, runs("v1", "a"), "v1", []string{"from a, which runs; `agent sync --to TAG`"}},
		"followed a branch before":        {dated, all, runs("master", "ab"), march, nil},
		"ahead of all tags":               {dated, all, runs("master", "abcd"), "master", []string{march, february, january}},
		"versions":                        {`^v`, []gitsync.Tag{tag("v1.9.0", "a"), tag("v1.10.0", "ab"), tag("v1.10", "abx")}, selection.Record{}, "v1.10.0", nil},
		"groups":                          {`^r-(\d+)-of-(\d+)$`, []gitsync.Tag{tag("r-2-of-9", "a"), tag("r-10-of-1", "ab")}, selection.Record{}, "r-10-of-1", nil},
		"a hash is no age":                {`^(\d{4}-\d{2}-\d{2})-([a-f0-9]{10})$`, []gitsync.Tag{tag("2026-01-10-9999999999", "a"), tag("2026-01-10-0000000000", "ab")}, selection.Record{}, "2026-01-10-0000000000", nil},
		"day first in the name":           {`^(?:\d{2})\.(?:\d{2})\.(\d{4})`, []gitsync.Tag{tag("31.12.2025", "a"), tag("01.01.2026", "ab")}, selection.Record{}, "01.01.2026", nil},
		"without an age":                  {`^release-`, []gitsync.Tag{tag("release-b", "a"), tag("release-a", "ab")}, runs("release-b", "a"), "release-a", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := selection.Choose(regexp.MustCompile(test.pattern), test.tags, test.on, descends)
			if err != nil || got.Tag.Name != test.want {
				t.Errorf("selected %+v (%v), want %s", got.Tag, err, test.want)
			}
			if len(got.Told) != len(test.told) {
				t.Fatalf("told %q, want %q", got.Told, test.told)
			}
			for i, words := range test.told {
				if !strings.Contains(got.Told[i], words) {
					t.Errorf("told %q, want %q", got.Told[i], words)
				}
			}
			if test.on.Last.Name == test.want && test.on.Last.Commit != got.Tag.Commit {
				t.Errorf("at %s, want %s", got.Tag.Commit, test.on.Last.Commit)
			}
		})
	}
}

// TestChooseTogether wants each stack of a node to follow the same tag, unless that would take it
// back, or a user led it elsewhere.
func TestChooseTogether(t *testing.T) {
	const january, february, march = "2026-01-10-aaaaaaaaaa", "2026-02-10-bbbbbbbbbb", "2026-03-10-cccccccccc"
	first, second := tag(january, "a"), tag(february, "ab")
	rolled := selection.Record{Last: second, Kept: true, Runs: "ab"}
	waits := selection.Record{Last: second, Runs: "a"}
	shares := selection.Record{Last: second, Kept: true, Shares: true, Runs: "a"}
	before := selection.Record{Last: first, Kept: true, Runs: "a"}
	for name, test := range map[string]struct {
		tags   []gitsync.Tag
		stacks []selection.Record
		want   []string // of each stack
	}{
		"one has rolled the deleted tag out": {[]gitsync.Tag{first}, []selection.Record{rolled, waits}, []string{february, february}},
		"one has not looked at it":           {[]gitsync.Tag{first}, []selection.Record{rolled, before}, []string{february, february}},
		"one is new":                         {[]gitsync.Tag{first}, []selection.Record{rolled, {}}, []string{february, february}},
		"one waits, one is not changed":      {[]gitsync.Tag{first}, []selection.Record{waits, shares}, []string{january, january}},
		"one waits, one is before it":        {[]gitsync.Tag{first}, []selection.Record{waits, before}, []string{january, january}},
		"both deleted":                       {nil, []selection.Record{waits, before}, []string{january, january}},
		"it changes none":                    {[]gitsync.Tag{first}, []selection.Record{shares, shares}, []string{february, february}},
		"a newer one":                        {[]gitsync.Tag{first, tag(march, "abc")}, []selection.Record{rolled, waits}, []string{march, march}},
		"a newer one of another branch":      {[]gitsync.Tag{first, tag(march, "ax")}, []selection.Record{rolled, waits}, []string{february, february}},
		"a user led one elsewhere":           {[]gitsync.Tag{first}, []selection.Record{rolled, {Last: first, Kept: true, Runs: "a", Led: true, Over: february}}, []string{february, january}},
		"a tag that takes one back":          {[]gitsync.Tag{first}, []selection.Record{{Last: tag(march, "x"), Kept: true, Runs: "x"}, before}, []string{march, january}},
		"one day, the newer one deleted": {
			[]gitsync.Tag{second},
			[]selection.Record{rolled, {Last: tag("2026-02-10-dddddddddd", "abd"), Kept: true, Runs: "abd"}},
			[]string{"2026-02-10-dddddddddd", "2026-02-10-dddddddddd"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i, want := range test.want {
				on := test.stacks[i]
				on.Others = append(slices.Clone(test.stacks[:i]), test.stacks[i+1:]...)
				got, err := selection.Choose(regexp.MustCompile(dated), test.tags, on, descends)
				if err != nil || got.Tag.Name != want {
					t.Errorf("stack %d follows %+v (%v), want %s", i, got.Tag, err, want)
				}
			}
		})
	}
}

// TestOrderOfTags checks that the order in which the remote lists tags does not matter.
func TestOrderOfTags(t *testing.T) {
	tags := []gitsync.Tag{tag("2026-01-10-aaaaaaaaaa", "a"), tag("2026-02-10-bbbbbbbbbb", "ab"), tag("2099-01-10-cccccccccc", "x")}
	on := selection.Record{Last: tags[0], Kept: true, Runs: "a"}
	want, err := selection.Choose(regexp.MustCompile(dated), tags, on, descends)
	if err != nil {
		t.Fatal(err)
	}
	got, err := selection.Choose(regexp.MustCompile(dated), []gitsync.Tag{tags[2], tags[1], tags[0]}, on, descends)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v:\n%s", err, diff)
	}
}
