package simulation_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/agent/request"
	"coin.internal/coin-agent/deploy/enginetest"
)

// Some worlds have a node with several stacks, each of which waits for the one before it.

// layerNames are the stacks that a node may have.
var layerNames = []string{"system", "platform", "business"}

// layers are the stacks of a release, for a node that has several.
type layers struct {
	list  string    // their names in order; "" for a node with one stack
	prune string    // those that may be removed once they are off the list
	tags  [3]string // of their images, in the order of layerNames
}

// names gives the names in order.
func (l *layers) names() []string { return strings.Fields(l.list) }

// image gives what the service of a stack runs.
func (l *layers) image(name string) string {
	return "coin/" + name + ":" + l.tags[slices.Index(layerNames, name)]
}

// crashes reports whether no rollout of a stack succeeds.
func (l *layers) crashes(name string) bool { return strings.Contains(l.image(name), ":bad") }

// before gives the stack that one waits for; "" for none.
func (l *layers) before(name string) string {
	names := l.names()
	if i := slices.Index(names, name); i > 0 {
		return names[i-1]
	}
	return ""
}

// files is the tree of a commit.
func (l *layers) files(of *release) map[string]string {
	files := map[string]string{"README.md": fmt.Sprintf("Notes, edition %d\n", of.readme)}
	var listed []string
	for _, name := range l.names() {
		listed = append(listed, fmt.Sprintf("{name: %s, prune: %t}", name, strings.Contains(l.prune, name)))
		files[nodeDir+name+"/docker-compose.yml"] = "services:\n  app:\n    image: " + l.image(name) +
			"\n    deploy: {restart_policy: {delay: 1s}, update_config: {monitor: 2s}}\n"
	}
	files[configDir+"config.yml"] = "environment: {name: sandbox, type: non-production}\n" +
		"nodes: [{name: node3, context: c, stacks: [" + strings.Join(listed, ", ") + "]}]\n" +
		"deployment:\n  health_check: {timeout: 60s}\n  gates: {preflight: false, disk: {min_free: 0B}}\n" +
		fmt.Sprintf("  rollback: {automatic: %t}\ndrift: correct\n", of.automatic)
	return files
}

// pushLayers commits a release of several stacks.
func (w *world) pushLayers(wants release) {
	for _, name := range layerNames {
		if image := wants.layers.image(name); w.engine.Digest(image) == "" {
			traits := []enginetest.Trait{enginetest.DemoApp()}
			if wants.layers.crashes(name) {
				traits = append(traits, enginetest.Crashes(3, time.Second))
			}
			w.engine.Image(image, traits...)
		}
	}
	made := w.git.commit(w.git.head, wants)
	w.gitlab.AddCommit(made.hash, branch)
	w.mu.Lock()
	for _, name := range wants.layers.names() { // what was approved before is over once the agent sees the list
		w.lists[name]++
		w.removals[name] = min(w.removals[name], removalAsked)
	}
	w.mu.Unlock()
	w.note("commit %s: %s %+v", made.hash[:10], wants.about, wants.layers)
}

// firstLayers is the first release of several stacks.
func (w *world) firstLayers() release {
	return release{about: "first", automatic: w.random.IntN(2) == 0, layers: layers{list: strings.Join(layerNames, " "), tags: [3]string{"g0", "g0", "g0"}}}
}

// changeLayers commits new images for some stacks: of those that failed before, good ones.
func (w *world) changeLayers() {
	wants := w.git.head.wants
	wants.about = "images"
	for i := range layerNames {
		switch tag := &wants.layers.tags[i]; {
		case w.random.IntN(6) == 0:
			*tag = fmt.Sprintf("bad%d", w.git.made)
		case strings.HasPrefix(*tag, "bad") || w.random.IntN(2) == 0:
			*tag = fmt.Sprintf("g%d", w.git.made)
		}
	}
	w.pushLayers(wants)
}

// relist commits another list: in another order, without a stack, or with one more.
func (w *world) relist() {
	wants := w.git.head.wants
	names := wants.layers.names()
	at := w.random.IntN(len(layerNames))
	switch i := slices.Index(names, layerNames[at]); {
	case i < 0:
		names = slices.Insert(names, w.random.IntN(len(names)+1), layerNames[at])
	case len(names) > 2 && w.random.IntN(2) == 0:
		names = slices.Delete(names, i, i+1)
	default:
		w.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	}
	wants.about, wants.layers.list, wants.layers.prune = "list", strings.Join(names, " "), ""
	for _, name := range names {
		if w.random.IntN(2) == 0 {
			wants.layers.prune += name + " "
		}
	}
	w.pushLayers(wants)
}

// removal is what users said about the removal of a stack.
type removal int

const (
	_               removal = iota
	removalAsked            // a user asked for it: it may happen, also if the answer was lost
	removalApproved         // the agent said that it will happen
)

// askLayer has a user ask for something about one stack.
func (w *world) askLayer() {
	p := w.process
	if p == nil || p.parts == nil {
		return
	}
	name := layerNames[w.random.IntN(len(layerNames))]
	desk, err := p.parts.agent.Desk(record.StackKey(name))
	if err != nil {
		return
	}
	left, which := desk.Status().Left, w.random.IntN(2)
	w.mu.Lock()
	lists := w.lists[name]
	if left != nil && left.Prune {
		w.removals[name] = max(w.removals[name], removalAsked)
	}
	w.mu.Unlock()
	p.ended.Go(func() {
		var err error
		switch {
		case left != nil:
			if _, err = desk.Approve(ada, request.Approve{Commit: left.Commit, Reason: "simulated"}); err == nil {
				w.mu.Lock()
				if w.lists[name] == lists {
					w.removals[name] = removalApproved
				}
				w.mu.Unlock()
			}
		case which == 0:
			granted, refused := desk.GrantSync(ada, request.Sync{})
			err = runGranted(p.ctx, granted, refused)
		default:
			granted, refused := desk.GrantRetry(ada, request.Retry{})
			err = runGranted(p.ctx, granted, refused)
		}
		w.note("a user asks about %s, left %v: %v", name, left != nil, err)
	})
}

// disturbLayers does one thing at random.
func (w *world) disturbLayers() {
	service := layerNames[w.random.IntN(len(layerNames))] + "_app"
	switch w.random.IntN(12) {
	case 0, 1, 2, 3:
		w.changeLayers()
	case 4, 5:
		w.relist()
	case 6:
		wants := w.git.head.wants
		wants.about = "of another node"
		wants.readme++
		w.pushLayers(wants)
	case 7:
		w.meddle(service, "environment", func(spec *swarm.ServiceSpec) {
			spec.TaskTemplate.ContainerSpec.Env = append(spec.TaskTemplate.ContainerSpec.Env, "BY_HAND=1")
		})
	case 8:
		err := w.engine.RemoveService(context.Background(), service)
		w.note("by hand: removal of %s: %v", service, err)
	case 9:
		w.restart()
	case 10:
		w.fault()
	default:
		w.askLayer()
	}
}

// layerRound disturbs a node with several stacks, waits until the agent is idle, and checks the
// end.
func (w *world) layerRound() {
	w.note("--- round")
	if w.random.IntN(3) == 0 {
		w.planKill()
	}
	w.disturbLayers()
	for w.random.IntN(4) == 0 {
		w.pass(time.Duration(w.random.IntN(20000)) * time.Millisecond)
		w.disturbLayers()
	}
	w.pass(time.Duration(w.random.IntN(60000)) * time.Millisecond)
	w.settleLayers()
	w.askLayer()
	w.settleLayers()
	w.checkLayers()
}

// settleLayers ends the faults and lets time pass until the agent is idle.
func (w *world) settleLayers() {
	w.heal()
	for looks, n := 0, 0; looks < 3 && len(w.wrong) == 0; n++ {
		w.pass(interval + interval/6)
		looks++
		if why := w.layersUnsettled(); why != "" {
			if looks = 0; n > 250 {
				w.fail("the agent does not become idle: %s", why)
			}
		}
	}
}

// layersUnsettled says what the agent still has to do; "" for nothing.
func (w *world) layersUnsettled() string {
	if w.process == nil || w.process.parts == nil {
		return "it does not run"
	}
	m, head := w.process.parts, w.git.head
	if listed := strings.Trim(fmt.Sprint(m.agent.Stacks()), "[]"); listed != head.wants.layers.list {
		return fmt.Sprintf("it has the stacks %s", listed)
	}
	for _, name := range head.wants.layers.names() {
		desk, err := m.agent.Desk(record.StackKey(name))
		if err != nil {
			return err.Error()
		}
		now := lookAt(desk)
		switch {
		case now.undelivered > 0:
			return "statuses or anchors are not delivered"
		case now.pollError != "":
			return name + " cannot look: " + now.pollError
		case now.desired != head.hash || now.commit != head.hash:
			return name + " has not synced the head"
		case now.busy:
			return name + " is busy"
		}
	}
	return ""
}

// simulateLayers runs the rounds of a node with several stacks.
func (w *world) simulateLayers() (rounds int) {
	w.pushLayers(w.firstLayers())
	w.start()
	w.settleLayers()
	w.checkLayers()
	for ; rounds < perSeed && len(w.wrong) == 0; rounds++ {
		w.layerRound()
	}
	w.stop()
	return rounds
}
