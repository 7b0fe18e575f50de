package main

import (
	"strings"
	"testing"

	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/launchdarkly/launchdarklytest"
)

// A revert makes one merge request, however often it is called.
func TestRevertCommand(t *testing.T) {
	r := newReleases(t)
	const revert = "release revert --environment sandbox"
	r.agent(exitUsage, "release revert", "name the environment")
	r.agent(exitDifferent, revert+" --dry-run", "-TAG=2025-12-15-11eeef9e99", "+TAG=2025-12-05-ecacdc6c25", "nothing was changed")
	r.agent(exitDone, revert+" --reason slow", "sandbox from release 2025-12-15-11eeef9e99 to 2025-12-05-ecacdc6c25", "/-/merge_requests/1")
	r.agent(exitDone, revert, "finished the commit of an earlier run")
	made := r.MergeRequests()
	if len(made) != 1 || made[0].Title != `Revert "Second"` || !strings.Contains(*made[0].Description, "slow") {
		t.Fatalf("opened %+v", made)
	}
	r.repo.Git("switch", "--quiet", "master")
	r.repo.Git("branch", "-D", made[0].SourceBranch)
	r.agent(exitDone, revert, "it is an earlier revert")
	r.CloseMergeRequest(1)
	r.repo.Commit("Local", map[string]string{"README": "x"})
	r.agent(exitError, revert, "the working copy is at commit", "git switch master && git pull --ff-only")
}

// Flags change by a merge request, and not at all where LaunchDarkly does not answer.
func TestFlagsCommand(t *testing.T) {
	r := newReleases(t)
	r.repo.Commit("Flags", map[string]string{"environments/testing/common/project.env": "FEATURE_NEW_CHECKOUT=false\nFEATURE_BETA_UI=false\n"})
	r.pushed()
	flag := func(key string, rule map[string]any) launchdarklytest.Flag {
		return launchdarklytest.Flag{Key: key, Environments: map[string]map[string]any{"testing": {"on": true, "fallthrough": rule}}}
	}
	s := launchdarklytest.New(t, flag("new-checkout", map[string]any{"variation": 0}))
	line := "release flags --provider launchdarkly --project demo --environment testing --provider-url " + s.URL + " --provider-token-file " + gitlabtest.TokenFile(t, launchdarklytest.Token)
	r.agent(exitUsage, "release flags --environment testing --provider vault", `--provider "vault" is not known`)
	r.agent(exitUsage, "release flags --environment testing --provider launchdarkly --project demo", "with --provider-token-file")
	r.agent(exitError, strings.Replace(line, s.URL, "http://127.0.0.1:1", 1), "LaunchDarkly does not answer", "nothing was changed")
	r.agent(exitDone, line, "+FEATURE_NEW_CHECKOUT=true", "/-/merge_requests/1")
	r.agent(exitDone, line, "finished the commit of an earlier run")
	r.repo.Git("switch", "--quiet", "master")
	r.repo.Git("merge", "--quiet", "--no-edit", r.MergeRequests()[0].SourceBranch)
	r.pushed()
	r.Merge(1, r.repo.Head())
	r.agent(exitDone, line, "nothing to change")
	half := map[string]any{"rollout": map[string]any{"variations": []any{map[string]any{"variation": 0, "weight": 50000}, map[string]any{"variation": 1, "weight": 50000}}}}
	s.Set(flag("beta-ui", half))
	r.agent(exitDifferent, line, "not set FEATURE_BETA_UI: it is a percentage rollout (50% true, 50% false)")
	if len(r.MergeRequests()) != 1 {
		t.Errorf("opened %+v", r.MergeRequests())
	}
}

// A rollback of all nodes begins only if each can be reached.
func TestRollbackGroupCommand(t *testing.T) {
	r := newReleases(t)
	token := " --token-file " + gitlabtest.TokenFile(t, "operate-token-of-32-characters-00")
	for line, want := range map[string]string{
		"rollback --partial --yes":                                              "--api and --partial need --group",
		"rollback --group --environment sandbox --yes":                          "--group needs --token-file",
		"rollback --group --environment sandbox --to 3 --yes" + token:           "--to names a sync of one node",
		"rollback --group --environment sandbox --host https://x --yes" + token: "--host names one node",
		"rollback --group --environment sandbox" + token:                        "there is no terminal to ask on",
	} {
		r.command(exitUsage, line, want)
	}
	r.command(exitError, "rollback --group --environment sandbox --yes"+token, "not every node can be rolled back:", "node3: config.yml has no url for it")
	r.command(exitError, "rollback --group --environment sandbox --yes --api node3=https://127.0.0.1:1"+token, "nothing was changed", "node3: ", "--partial")
}
