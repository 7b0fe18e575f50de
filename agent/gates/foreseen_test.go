package gates_test

import (
	"testing"

	"coin.internal/coin-agent/agent/gates"
	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/manifests"
)

func TestCounted(t *testing.T) {
	request := gitlab.Request{Number: 12, State: gitlab.Opened, Author: "ada", Target: "master", Head: "79f141c9f3", Labels: []string{"CAB approved"}}
	unlabelled := request
	unlabelled.Labels = nil
	all := []gitlab.Approval{
		{User: "ada"}, {User: "bob"}, {User: "carol", Outdated: true}, {User: "dan", Retargeted: true}, {User: "eve", Wrote: true},
	}
	const not = "; not counted: ada opened it, carol did not approve its last commit 79f141c9f3, " +
		"dan approved it before its target branch was changed to master, eve wrote or pushed commits of it"
	board := manifests.Approval{Minimum: 1, ChangeAdvisoryBoard: true}
	members := manifests.Approval{Minimum: 1, Approvers: []string{"bob"}, ChangeAdvisoryBoard: true, Board: manifests.Board{Members: []string{"Bob", "carol"}}}
	for name, test := range map[string]struct {
		demands []manifests.Approval
		request gitlab.Request
		given   []gitlab.Approval
		want    string
		unknown string
	}{
		"nobody":        {[]manifests.Approval{{Minimum: 2}}, request, nil, "approval 0/2", "approval ?/2"},
		"by anyone":     {[]manifests.Approval{{Minimum: 2}}, request, all, "approval 1/2" + not, "approval ?/2"},
		"more":          {[]manifests.Approval{{Minimum: 1}}, request, []gitlab.Approval{{User: "bob"}, {User: "carol"}}, "approval 2/1", "approval ?/1"},
		"by some":       {[]manifests.Approval{{Minimum: 1, Approvers: []string{"@Bob", "frank"}}}, request, all, "approval 1/1 (of bob, frank)", "approval ?/1"},
		"of no user":    {[]manifests.Approval{{Minimum: 1, Approvers: []string{"DevOps Lead"}}}, request, all, `approval 0/1, and "DevOps Lead" is not a username: assign it in approval.roles`, "approval ?/1"},
		"two demands":   {[]manifests.Approval{{Minimum: 1}, {Minimum: 2, Approvers: []string{"bob"}}}, request, all[1:2], "approval 1/1; approval 1/2 (of bob)", "approval ?/1; approval ?/2"},
		"board":         {[]manifests.Approval{board}, request, all[1:2], "approval 1/1; change advisory board 1/1", "approval ?/1; change advisory board ?/1"},
		"board misses":  {[]manifests.Approval{board}, unlabelled, all[1:2], `approval 1/1; change advisory board 0/1: it takes label "CAB approved"`, "approval ?/1; change advisory board ?/1"},
		"board member":  {[]manifests.Approval{members}, unlabelled, all[1:2], "approval 1/1 (of bob); change advisory board 1/1", "approval ?/1; change advisory board ?/1"},
		"board is late": {[]manifests.Approval{members}, unlabelled, all[2:3], "approval 0/1 (of bob); change advisory board 0/1: it takes an approval (of bob, carol); not counted: carol did not approve its last commit 79f141c9f3", "approval ?/1; change advisory board ?/1"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := gates.Counted(test.demands, test.request, test.given); got != test.want {
				t.Errorf("%q\nwant %q", got, test.want)
			}
			if got := gates.Uncounted(test.demands, "it is away"); got != test.unknown+": GitLab does not tell: it is away" {
				t.Errorf("%q", got)
			}
		})
	}
}
