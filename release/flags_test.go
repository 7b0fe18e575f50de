package release_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/internal/worktree"
	"coin.internal/coin-agent/launchdarkly"
	"coin.internal/coin-agent/release"
)

func (p *promotions) flags(values ...launchdarkly.Flag) *release.FlagPlan {
	p.t.Helper()
	tree, err := worktree.Open(p.Dir)
	if err != nil {
		p.t.Fatal(err)
	}
	plan, err := release.Flags{Environment: "testing", Provider: "launchdarkly", Project: "coin", Values: values}.Plan(tree, p.Head())
	if err != nil {
		p.t.Fatal(err)
	}
	return plan
}

// Flags change where a file sets them with another value, and nowhere else.
func TestFlags(t *testing.T) {
	p := newPromotions(t, put(map[string]string{
		testing4 + "config.yml":              strings.Replace(testingConfig, "auto_deploy: false", "auto_deploy: false, feature_flags: {all: true, ai: true, new-checkout: false, old: true}", 1),
		testing4 + "common/project.env":      "LOG_LEVEL=info\nFEATURE_BETA_UI=false\nFEATURE_ALIKE=true\n#FEATURE_OLD=true\nFEATURE_PART=false\nFEATURE_TWICE=true\n",
		testing4 + "nodes/test1/node.env":    "export TAG=" + first + "\nREPLICAS=3\nexport FEATURE_BETA_UI=\"false\" # no\nexport FEATURE_LEVEL=3\n",
		testing4 + "nodes/test2/project.env": "MAX_WORKERS=8\nFEATURE_LEVEL=3\nFEATURE_BETA_UI=true\n",
	}))
	plan := p.flags(
		launchdarkly.Flag{Key: "beta-ui", On: true}, launchdarkly.Flag{Key: "alike", On: true}, launchdarkly.Flag{Key: "level", On: true},
		launchdarkly.Flag{Key: "new-checkout", On: true}, launchdarkly.Flag{Key: "old"}, launchdarkly.Flag{Key: "ai"}, launchdarkly.Flag{Key: "unknown.here", On: true},
		launchdarkly.Flag{Key: "part", Refused: "it is a percentage rollout"}, launchdarkly.Flag{Key: "twice"}, launchdarkly.Flag{Key: "Twice"},
	)
	files := after(plan2(plan))
	for file, want := range map[string]string{
		"config.yml":         "feature_flags: {all: true, ai: false, new-checkout: true, old: false}",
		"common/project.env": "FEATURE_BETA_UI=true\nFEATURE_ALIKE=true\n#FEATURE_OLD=true\nFEATURE_PART=false\nFEATURE_TWICE=true\n",
	} {
		if !strings.Contains(files[file], want) {
			t.Errorf("%s is %q, want %q", file, files[file], want)
		}
	}
	if len(files) != 2 {
		t.Errorf("%d files change", len(files))
	}
	var got []string
	for _, one := range plan.Refused {
		got = append(got, one.Name+": "+one.Why)
	}
	want := []string{
		"FEATURE_PART: it is a percentage rollout",
		"FEATURE_TWICE: two flags of the provider are this variable, one is Twice",
		`FEATURE_BETA_UI: environments/testing/nodes/test1/node.env:3: its value "\"false\" # no" is neither true nor false`,
		`FEATURE_LEVEL: environments/testing/nodes/test1/node.env:4: its value "3" is neither true nor false`,
		`FEATURE_LEVEL: environments/testing/nodes/test2/project.env:2: its value "3" is neither true nor false`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if len(p.flags(launchdarkly.Flag{Key: "alike", On: true}).Files) > 0 {
		t.Error("flags that do not differ change files")
	}
}

// plan2 gives the files as those of a promotion.
func plan2(plan *release.FlagPlan) *release.PromotionPlan {
	return &release.PromotionPlan{To: plan.Environment, Files: plan.Files}
}
