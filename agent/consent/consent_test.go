package consent_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/swarm"
	"github.com/google/go-cmp/cmp"

	"coin.internal/coin-agent/agent/consent"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

const (
	owner = "sandbox/node3"
	own   = "own" // marks an object with the labels of this agent
	bare  = "-"   // marks an object without labels
	stack = "s"   // marks an object with the stack's label, as docker makes it
)

func labels(mark string) map[string]string {
	switch mark {
	case own:
		return map[string]string{compose.LabelStack: "s", compose.LabelOwner: owner}
	case bare:
		return nil
	}
	return map[string]string{compose.LabelStack: mark}
}

// live gives an engine with objects by name and mark; their IDs are their names.
func live(services, networks, secrets map[string]string) *deploy.Live {
	made := &deploy.Live{Services: deploy.LiveServices{}, Networks: map[string]network.Summary{}, Secrets: map[string]swarm.Secret{}}
	for name, mark := range services {
		spec := swarm.ServiceSpec{Annotations: swarm.Annotations{Name: name, Labels: labels(mark)}}
		spec.TaskTemplate.ContainerSpec = &swarm.ContainerSpec{Image: "app:1"}
		made.Services[name] = swarm.Service{ID: name, Spec: spec}
	}
	for name, mark := range networks {
		made.Networks[name] = network.Summary{ID: name, Name: name, Scope: "swarm", Labels: labels(mark)}
	}
	for name, mark := range secrets {
		made.Secrets[name] = swarm.Secret{ID: name, Spec: swarm.SecretSpec{Annotations: swarm.Annotations{Name: name, Labels: labels(mark)}}}
	}
	return made
}

// wanted is the stack s with a service, a network and a secret.
func wanted() *compose.Stack {
	spec := swarm.ServiceSpec{Annotations: swarm.Annotations{Name: "s_web", Labels: labels(own)}}
	spec.TaskTemplate.ContainerSpec = &swarm.ContainerSpec{Image: "app:1"}
	secret := compose.Secret{Key: "db"}
	secret.Spec.Name, secret.Spec.Labels = "s_db.1", labels(own)
	return &compose.Stack{
		Name: "s", Owner: owner, Services: map[string]swarm.ServiceSpec{"s_web": spec},
		Networks: map[string]network.CreateOptions{"s_default": {Labels: labels(own)}}, Secrets: []compose.Secret{secret},
	}
}

func good(stack string) *record.GoodState {
	return &record.GoodState{
		StackName: stack, Services: json.RawMessage(`{"s_web": {}}`), Networks: json.RawMessage(`{"s_default": {}}`),
		Secrets: []record.Object{{Name: "s_db.1", Key: "db"}, {Name: "others"}},
	}
}

func TestNeeded(t *testing.T) {
	type names = map[string]string
	adopted := func(stack string, objects ...record.Unowned) *record.Adoption {
		return &record.Adoption{Stack: stack, Objects: objects}
	}
	for name, test := range map[string]struct {
		live *deploy.Live
		kept *record.Adoption
		good *record.GoodState
		want []string // "before" and the objects; nil for nothing
	}{
		"nothing is there":                  {live: live(nil, nil, nil)},
		"nothing of the stack":              {live: live(nil, names{"t_default": "t"}, names{"t_db": "t"})},
		"docker deployed the stack":         {live: live(names{"s_web": stack}, names{"s_default": stack}, names{"s_db.1": stack, "s_old.1": stack}), want: []string{"service s_web update", "network s_default keep", "secret s_db.1 keep", "secret s_old.1 keep"}},
		"a service would be removed":        {live: live(names{"s_other": stack}, nil, nil), want: []string{"service s_other remove"}},
		"a left secret of the name":         {live: live(nil, nil, names{"s_db.1": bare}), want: []string{"secret s_db.1 keep"}},
		"the state file was lost":           {live: live(names{"s_web": own}, names{"s_default": stack}, names{"s_db.1": bare})},
		"lost, and a service of others":     {live: live(names{"s_web": own, "s_other": stack}, nil, nil), want: []string{"service s_other remove"}},
		"an earlier version deployed it":    {live: live(names{"s_web": own}, names{"s_default": stack}, names{"s_db.1": stack}), good: good("s")},
		"earlier, a label was taken off":    {live: live(names{"s_web": stack}, nil, nil), good: good("s")},
		"earlier, a service of others":      {live: live(names{"s_web": own, "s_other": stack}, nil, nil), good: good("s"), want: []string{"service s_other remove"}},
		"earlier, another stack":            {live: live(names{"s_web": stack}, nil, nil), good: good("t"), want: []string{"before t", "service s_web update"}},
		"another stack that is not there":   {live: live(nil, nil, nil), kept: adopted("t"), want: []string{"before t"}},
		"adopted":                           {live: live(names{"s_web": stack}, names{"s_default": stack}, nil), kept: adopted("s", record.Unowned{Kind: "service", Name: "s_web", ID: "s_web"}, record.Unowned{Kind: "network", Name: "s_default", ID: "s_default"})},
		"adopted, and made anew":            {live: live(names{"s_web": stack}, nil, nil), kept: adopted("s", record.Unowned{Kind: "service", Name: "s_web", ID: "before"}), want: []string{"service s_web update"}},
		"kept, an old secret does no harm":  {live: live(nil, nil, names{"s_old.1": stack}), kept: adopted("s")},
		"kept, a secret of the name":        {live: live(nil, nil, names{"s_db.1": stack}), kept: adopted("s"), want: []string{"secret s_db.1 keep"}},
		"kept, but the objects of another":  {live: live(names{"s_web": stack}, nil, nil), kept: adopted("t", record.Unowned{Kind: "service", Name: "s_web", ID: "s_web"}), good: good("t"), want: []string{"before t", "service s_web update"}},
		"labels of this node in the engine": {live: live(names{"s_web": own}, nil, nil), kept: adopted("t"), want: []string{"before t"}},
	} {
		t.Run(name, func(t *testing.T) {
			on, err := consent.NewRecord(owner, test.kept, test.good)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := deploy.Diff(test.live, wanted())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			if asked := consent.Needed(test.live, wanted(), plan, on); asked != nil {
				if asked.Before != "" {
					got = append(got, "before "+asked.Before)
				}
				for _, one := range asked.Objects {
					got = append(got, one.Kind+" "+one.Name+" "+one.Fate)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAdopt checks which objects are part of a stack after its adoption: those that the user
// has seen, and no later ones.
func TestAdopt(t *testing.T) {
	now := time.Now()
	first := live(map[string]string{"s_web": stack}, nil, map[string]string{"s_db.1": stack})
	plan, err := deploy.Diff(first, wanted())
	if err != nil {
		t.Fatal(err)
	}
	asked := consent.Needed(first, wanted(), plan, consent.Record{})
	given := &record.Consent{To: *asked}
	if !given.Covers(asked) {
		t.Error("the consent does not cover what was shown")
	}
	kept := consent.Adopt(first, wanted(), consent.Record{}, given, now)
	later := live(map[string]string{"s_web": stack, "s_other": stack}, map[string]string{"s_default": stack}, map[string]string{"s_db.1": stack})
	if plan, err = deploy.Diff(later, wanted()); err != nil {
		t.Fatal(err)
	}
	on := consent.Record{Adoption: kept}
	more := consent.Needed(later, wanted(), plan, on)
	if text, want := consent.Text(more), "2 objects without this agent's label in stack s: service s_other, network s_default"; text != want {
		t.Errorf("%q, want %q", text, want)
	}
	if given.Covers(more) {
		t.Error("the consent covers objects that came later")
	}
	again := consent.Adopt(later, wanted(), on, nil, now.Add(time.Hour))
	if diff := cmp.Diff(kept, again); diff != "" {
		t.Errorf("without consent the record changes:\n%s", diff)
	}
}

func TestCovers(t *testing.T) {
	web := record.Unowned{Kind: "service", Name: "s_web", ID: "1", Fate: "update"}
	given := &record.Consent{To: record.Takeover{Stack: "s", Before: "t", Objects: []record.Unowned{web}}}
	for name, test := range map[string]struct {
		given *record.Consent
		asked record.Takeover
		want  bool
	}{
		"the same":           {given, given.To, true},
		"fewer":              {given, record.Takeover{Stack: "s", Before: "t"}, true},
		"no consent":         {nil, record.Takeover{Stack: "s", Before: "t"}, false},
		"another stack":      {given, record.Takeover{Stack: "u", Before: "t"}, false},
		"in place of no one": {given, record.Takeover{Stack: "s"}, false},
		"removed instead":    {given, record.Takeover{Stack: "s", Before: "t", Objects: []record.Unowned{{Kind: "service", Name: "s_web", ID: "1", Fate: "remove"}}}, false},
		"made anew":          {given, record.Takeover{Stack: "s", Before: "t", Objects: []record.Unowned{{Kind: "service", Name: "s_web", ID: "2", Fate: "update"}}}, false},
		"another kind":       {given, record.Takeover{Stack: "s", Before: "t", Objects: []record.Unowned{{Kind: "config", Name: "s_web", ID: "1", Fate: "update"}}}, false},
	} {
		if got := test.given.Covers(&test.asked); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
