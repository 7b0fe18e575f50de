package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
	"coin.internal/coin-agent/internal/fault"
)

// TestRefuseMissing plans a change of a stack whose image cannot be had, on a Swarm of one
// node and of two.
func TestRefuseMissing(t *testing.T) {
	const denied = "unauthorized: authentication required"
	missing, away, local, login := enginetest.Missing(), enginetest.Unreachable(), enginetest.Local(), enginetest.Unpulled(denied)
	says := func(words string) []enginetest.Trait { return []enginetest.Trait{enginetest.Unpulled(words)} }
	image := func(stack *compose.Stack) { setImage(stack, "api", "coin/bad:1") }
	environment := func(stack *compose.Stack) {
		stack.Services["t_old"].TaskTemplate.ContainerSpec.Env[0] = "A=1"
	}
	labels := func(stack *compose.Stack) { stack.Services["t_old"].Labels["a"] = "1" }
	idle := func(stack *compose.Stack) {
		image(stack)
		spec := stack.Services["t_api"]
		replicated(0)(&spec)
		stack.Services["t_api"] = spec
	}
	create := func(stack *compose.Stack) { add(stack, "new", nil); setImage(stack, "new", "coin/bad:1") }
	replace := func(stack *compose.Stack) {
		image(stack)
		spec := stack.Services["t_api"]
		spec.Mode = swarm.ServiceMode{Global: &swarm.GlobalService{}}
		stack.Services["t_api"] = spec
	}
	pinned := func(stack *compose.Stack) { setImage(stack, "api", "coin/bad@sha256:"+strings.Repeat("0", 64)) }
	elsewhere := func(stack *compose.Stack) { setImage(stack, "api", "other.example.com/bad:1") }
	const gone, unreached, allowed = "does not have the image", "transient: ", "warns: "
	for name, test := range map[string]struct {
		bad     []enginetest.Trait // of the image that is new
		old     []enginetest.Trait // of the image that a service runs
		change  func(*compose.Stack)
		resolve compose.Resolve
		warn    bool
		returns bool
		want    [2]string // on one node, on two
	}{
		"no such tag":             {bad: []enginetest.Trait{missing}, change: image, want: [2]string{gone, gone}},
		"no such tag, not asked":  {bad: []enginetest.Trait{missing}, change: image, resolve: compose.ResolveNever, want: [2]string{gone, gone}},
		"no such digest":          {change: pinned, want: [2]string{gone, gone}},
		"no registry":             {bad: []enginetest.Trait{away}, change: image, want: [2]string{unreached, allowed}},
		"no registry, not asked":  {bad: []enginetest.Trait{away}, change: image, resolve: compose.ResolveNever, want: [2]string{unreached, allowed}},
		"no registry, local":      {bad: []enginetest.Trait{away, local}, change: image, want: [2]string{allowed, allowed}},
		"no registry, never":      {bad: []enginetest.Trait{away, local}, change: image, resolve: compose.ResolveNever},
		"Harbor has no tag":       {bad: says("unknown: artifact coin/bad:1 not found"), change: image, want: [2]string{gone, gone}},
		"containerd has no tag":   {bad: says(`failed to resolve reference "coin/bad:1": coin/bad:1: not found`), change: image, want: [2]string{gone, gone}},
		"a proxy's 404":           {bad: says("unknown: 404 page not found"), change: image, want: [2]string{unreached, allowed}},
		"a gateway's 404":         {bad: says("unknown: not found"), change: image, want: [2]string{unreached, allowed}},
		"no login":                {bad: []enginetest.Trait{login}, change: image, want: [2]string{allowed, allowed}}, // its service may have one
		"no login, not asked":     {bad: []enginetest.Trait{login}, change: image, resolve: compose.ResolveNever, want: [2]string{allowed, allowed}},
		"no login, new":           {bad: []enginetest.Trait{login}, change: create, want: [2]string{unreached, allowed}},
		"no login, replaced":      {bad: []enginetest.Trait{login}, change: replace, want: [2]string{unreached, allowed}},
		"no login, new registry":  {change: elsewhere, want: [2]string{unreached, allowed}},
		"not pushed, local":       {bad: []enginetest.Trait{local}, change: image, want: [2]string{allowed, allowed}},
		"images.missing: warn":    {bad: []enginetest.Trait{missing}, change: image, warn: true, want: [2]string{allowed, allowed}},
		"warn, not asked":         {bad: []enginetest.Trait{missing}, change: image, warn: true, resolve: compose.ResolveNever, want: [2]string{allowed, allowed}},
		"a rollback":              {bad: []enginetest.Trait{missing}, change: image, returns: true, want: [2]string{gone, allowed}},
		"no task":                 {bad: []enginetest.Trait{missing}, change: idle, want: [2]string{allowed, allowed}},
		"of an unchanged service": {old: []enginetest.Trait{missing}, change: func(stack *compose.Stack) { setImage(stack, "api", image2) }},
		"its labels change":       {old: []enginetest.Trait{missing}, change: labels},
		"runs, and changes":       {old: []enginetest.Trait{missing}, change: environment, want: [2]string{gone, allowed}},
	} {
		for i, nodes := range [][]string{{"node1"}, {"node1", "node2"}} {
			t.Run(name+" on "+strings.Join(nodes, ", "), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sim := enginetest.New(enginetest.Options{Nodes: nodes})
					sim.Image(image1, enginetest.DemoApp())
					sim.Image(image2, enginetest.DemoApp())
					sim.Image("coin/old:1", enginetest.DemoApp())
					sim.Image("coin/bad:1", test.bad...)
					sim.Image("other.example.com/bad:1", login)
					engine := deploy.New(sim.Client(enginetest.Hooks{}))
					stack := newStack("t")
					add(stack, "api", nil)
					add(stack, "old", nil)
					setImage(stack, "old", "coin/old:1")
					rollout(t, engine, stack)
					if len(test.old) > 0 { // pruned on this node, collected in the registry
						sim.Image("coin/old:1", test.old...)
					}
					stack.Resolve, stack.WarnMissing = test.resolve, test.warn
					test.change(stack)
					checkMissing(t, engine, stack, test.returns, test.want[i])
				})
			})
		}
	}
}

// TestMissingIgnored plans a change of a service whose image or replicas the stack ignores.
// The image that would run counts: the live one, with live replicas.
func TestMissingIgnored(t *testing.T) {
	for field, want := range map[string]string{"image": "", "replicas": "does not have the image"} {
		t.Run(field, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := simulated()
				engine, stack := deploy.New(sim.Client(enginetest.Hooks{})), newStack("t")
				add(stack, "web", nil)
				rollout(t, engine, stack)
				if err := sim.UpdateService(t.Context(), "t_web", foreignChanges[field]); err != nil {
					t.Fatal(err)
				}
				stack.Ignored = map[string][]compose.Ignored{"t_web": {{Field: field, Reason: "another process"}}}
				spec := stack.Services["t_web"]
				if field == "replicas" {
					replicated(0)(&spec)
				}
				spec.TaskTemplate.ContainerSpec.Image, spec.TaskTemplate.ContainerSpec.Env = "coin/gone:1", []string{"A=1"}
				stack.Services["t_web"] = spec
				checkMissing(t, engine, stack, false, want)
			})
		})
	}
}

// TestAnswersOfOneImage asks a registry for five bad images and a good one. Only a registry
// that does not answer at all is not asked for the others.
func TestAnswersOfOneImage(t *testing.T) {
	for words, down := range map[string]bool{
		"unknown: current image with 2 vulnerabilities cannot be pulled":                         false, // Harbor's 412
		"toomanyrequests: slow down":                                                             false,
		"received unexpected HTTP status: 500 Internal Server Error":                             false,
		`unknown: Get "https://upstream/v2/": dial tcp 192.0.2.1:443: connect: no route to host`: false,
		`Get "https://docker.io/v2/": dial tcp 192.0.2.1:443: connect: connection refused`:       true,
	} {
		t.Run(words, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := enginetest.New(enginetest.Options{})
				sim.Image("coin/good:1")
				images := []string{"coin/good:1"}
				const bad = 9 // one more than are asked about at once
				for i := range bad {
					images = append(images, fmt.Sprintf("coin/bad:%d", i))
					sim.Image(images[i+1], enginetest.Unpulled(words))
				}
				missing, err := deploy.MissingImages(t.Context(), deploy.New(sim.Client(enginetest.Hooks{})), images)
				if err != nil || slices.Contains(missing, "coin/good:1") != down || len(missing) < bad {
					t.Errorf("missing %q, %v", missing, err)
				}
			})
		})
	}
}

// TestMissingOfOneRegistry plans three images of a registry that is away: one error says so.
func TestMissingOfOneRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := enginetest.New(enginetest.Options{})
		engine, stack := deploy.New(sim.Client(enginetest.Hooks{})), newStack("t")
		for i := range 3 {
			image := fmt.Sprintf("coin/app:%d", i)
			sim.Image(image, enginetest.Unpulled(`Get "https://docker.io/v2/": dial tcp 192.0.2.1:443: connect: connection refused`))
			add(stack, fmt.Sprintf("web%d", i), func(spec *swarm.ServiceSpec) { spec.TaskTemplate.ContainerSpec.Image = image })
		}
		_, err := engine.RefuseMissing(t.Context(), planFor(t, engine, stack), deploy.Resolution{Stack: stack}, false)
		want := "images coin/app:0, coin/app:1, coin/app:2 of 3 services are not on this node, and registry docker.io does not answer"
		if all := fault.All(err); len(all) != 1 || !strings.HasPrefix(all[0].Error(), want) || !fault.IsTransient(err) {
			t.Errorf("%d errors: %v", len(all), err)
		}
	})
}

// TestMissingUnknown plans with an engine that does not tell whether it has an image.
func TestMissingUnknown(t *testing.T) {
	for name, answer := range map[string]func(context.Context) error{
		"it hangs": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"it fails": func(context.Context) error { return errors.New("layer does not exist") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				engine, stack := deploy.New(simulated().Client(enginetest.Hooks{Before: func(ctx context.Context, call enginetest.Call) error {
					if call.Method == "ImageInspect" {
						return answer(ctx)
					}
					return nil
				}})), newStack("t")
				add(stack, "web", nil)
				plan, began := planFor(t, engine, stack), time.Now()
				_, err := engine.RefuseMissing(t.Context(), plan, deploy.Resolution{Stack: stack}, false)
				if !fault.IsTransient(err) || time.Since(began) > deploy.ReadLimit {
					t.Errorf("after %s: %v", time.Since(began), err)
				}
			})
		})
	}
}

// checkMissing plans the stack, and compares what is said of its images with want: a part
// of the refusal, transient or warnings; "" for nothing.
func checkMissing(t *testing.T, engine *deploy.Engine, stack *compose.Stack, returns bool, want string) {
	t.Helper()
	live, err := engine.Observe(t.Context(), stack)
	if err != nil {
		t.Fatal(err)
	}
	resolved, err := engine.Resolve(t.Context(), live.Services, stack)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := deploy.Diff(live, resolved.Stack)
	if err != nil {
		t.Fatal(err)
	}
	warnings, err := engine.RefuseMissing(t.Context(), plan, resolved, returns)
	got := ""
	switch warnings = append(warnings, resolved.Warnings...); {
	case fault.IsTransient(err):
		got = "transient: "
	case err != nil:
		got = err.Error()
	case len(warnings) > 0:
		got = "warns: "
	}
	if want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("got %q, want %q: %v, %q", got, want, err, warnings)
	}
	if err != nil && (!strings.Contains(err.Error(), " is not on this node, and registry ") || !strings.Contains(fault.Hint(err), "images.missing: warn")) {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
	if err == nil && len(warnings) > 1 {
		t.Errorf("it warns twice: %q", warnings)
	}
}
