package simulation_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/deploy/enginetest"
)

// disturbance is one thing that happens to the node.
type disturbance struct {
	weight int
	do     func(w *world)
}

// disturbances are chosen by their weights.
func disturbances() []disturbance {
	return []disturbance{
		{20, (*world).pushGood},
		{14, (*world).pushBad},
		{5, (*world).pushSour},
		{4, (*world).pushUnconcerned},
		{8, (*world).pushConfig},
		{4, (*world).pushSecret},
		{4, (*world).forcePush},
		{14, (*world).command},
		{14, (*world).drift},
		{4, (*world).contest},
		{3, (*world).addIntruder},
		{6, (*world).restart},
		{9, (*world).fault},
		{3, (*world).lag},
		{9, (*world).touchRequest},
	}
}

// disturb does one thing at random.
func (w *world) disturb() {
	all, total := disturbances(), 0
	for _, one := range all {
		total += one.weight
	}
	for chosen := w.random.IntN(total); ; {
		if chosen -= all[0].weight; chosen < 0 {
			all[0].do(w)
			return
		}
		all = all[1:]
	}
}

// round disturbs the node, waits until the agent is idle, and checks the end.
func (w *world) round() {
	w.note("--- round")
	w.repair()
	if w.random.IntN(3) == 0 {
		w.planKill()
	}
	if w.random.IntN(6) == 0 {
		w.fault()
	}
	w.disturb()
	for w.random.IntN(4) == 0 {
		w.pass(time.Duration(w.random.IntN(20000)) * time.Millisecond)
		w.disturb()
	}
	w.pass(time.Duration(w.random.IntN(60000)) * time.Millisecond)
	w.rest()
	w.check()
}

// rest lets the agent become idle, and again if a pause ends while merge requests are shown.
func (w *world) rest() {
	w.settle()
	w.letPass()
	w.soak()
	if len(w.wrong) > 0 {
		return
	}
	idle := w.process.parts.look()
	w.showRequests()
	for len(w.wrong) == 0 {
		now := w.process.parts.look()
		if now.commit == idle.commit && now.state == idle.state && now.paused == idle.paused {
			return
		}
		w.settle()
		w.soak()
		idle = w.process.parts.look()
		w.waitForNotes()
	}
}

// soak lets the soak time of a release pass that does not stay healthy.
func (w *world) soak() {
	syncs, err := w.records()
	if len(w.wrong) > 0 || err != nil || len(syncs) == 0 || syncs[0].State != "succeeded" || w.git.commits[syncs[0].Commit].wants.trouble != sours {
		return
	}
	w.note("the soak time passes")
	for range 11 {
		w.pass(time.Minute)
	}
	w.settle()
}

// repair takes back what would hold the agent for good.
func (w *world) repair() {
	if w.refused {
		w.note("the branch is restored")
		w.git.set(func(g *git) { g.head = g.commits[w.process.parts.look().commit] })
	}
	if w.intruder && w.random.IntN(2) == 0 {
		w.note("the intruder is removed")
		if err := w.engine.RemoveService(context.Background(), intruder); err != nil {
			w.fail("cannot remove the intruder: %v", err)
		}
		w.intruder = false
		w.foreign = w.foreignNow()
	}
}

// push commits a release on the head of the branch.
func (w *world) push(wants release) { w.pushOn(w.git.head, wants) }

func (w *world) pushOn(parent *commit, wants release) {
	traits := []enginetest.Trait{enginetest.DemoApp()}
	switch wants.trouble {
	case crashes:
		traits = append(traits, enginetest.Crashes(3, time.Second))
	case sours:
		traits = append(traits, func(b *enginetest.Behaviour, spec *swarm.ContainerSpec) {
			if len(spec.Args) == 0 { // not the job
				enginetest.Crashes(3, 45*time.Second)(b, spec)
			}
		})
	case sick:
		traits = append(traits, enginetest.Unhealthy())
	case sound, unproved, jobless, missing, malformed, unset:
	}
	if wants.trouble != missing && w.engine.Digest(wants.image()) == "" {
		if wants.trouble == sound && w.random.IntN(8) == 0 {
			w.note("fault: the registry of %s is away", wants.image())
			w.unreachable = append(w.unreachable, wants.image())
			traits = append(traits, enginetest.Unreachable())
		}
		w.engine.Image(wants.image(), traits...)
	}
	made := w.git.commit(parent, wants)
	w.gitlab.AddCommit(made.hash, branch)
	w.note("commit %s: %s %+v", made.hash[:10], wants.about, wants)
}

// next gives the head's release, to be changed: usually its gates are opened.
func (w *world) next(about string) release {
	wants := w.git.head.wants
	wants.about = about
	if w.random.IntN(2) == 0 {
		wants.manual, wants.approval, wants.frozen = false, false, time.Time{}
	}
	return wants
}

func (w *world) pushGood() {
	wants := w.next("good")
	wants.trouble, wants.tag = sound, fmt.Sprintf("g%d", w.git.made)
	wants.replicas, wants.level = 1+w.random.Uint64N(2), w.random.IntN(3)
	w.push(wants)
}

func (w *world) pushBad() {
	wants := w.next("bad")
	wants.trouble = troubles()[w.random.IntN(len(troubles()))]
	wants.tag = fmt.Sprintf("%s%d", wants.trouble, w.git.made)
	w.push(wants)
}

// pushSour commits a release that does not stay healthy.
func (w *world) pushSour() {
	wants := w.next("sour")
	wants.trouble, wants.tag = sours, fmt.Sprintf("%s%d", sours, w.git.made)
	w.push(wants)
}

// pushStuck commits a release that waits for a user, or that cannot be read.
func (w *world) pushStuck() {
	wants := w.next("stuck")
	wants.trouble, wants.tag, wants.manual = sound, fmt.Sprintf("g%d", w.git.made), true
	if w.random.IntN(2) == 0 {
		wants.trouble = malformed
	}
	w.push(wants)
}

func (w *world) pushUnconcerned() {
	wants := w.git.head.wants
	wants.about = "of another node"
	wants.readme++
	w.push(wants)
}

func (w *world) pushSecret() {
	wants := w.next("secret")
	wants.secret++
	w.push(wants)
}

func (w *world) pushConfig() {
	wants := w.git.head.wants
	wants.about = "config.yml"
	switch w.random.IntN(9) {
	case 0:
		wants.manual = !wants.manual
	case 1:
		wants.approval = !wants.approval
	case 2:
		wants.frozen = time.Time{}
		if w.git.head.wants.frozen.IsZero() {
			wants.frozen = time.Now().UTC().Truncate(time.Second).Add(time.Duration(5+w.random.IntN(60)) * time.Minute)
		}
	case 3, 4:
		wants.correct = !wants.correct
	case 5:
		wants.ignores = !wants.ignores
	default:
		wants.automatic = !wants.automatic
	}
	w.push(wants)
}

// forcePush replaces the last commit or two by another one.
func (w *world) forcePush() {
	head := w.git.head
	if head.parent == nil {
		w.pushGood()
		return
	}
	base := head.parent
	if base.parent != nil && w.random.IntN(2) == 0 {
		base = base.parent
	}
	wants := base.wants
	wants.about, wants.trouble, wants.tag = "force push", sound, fmt.Sprintf("f%d", w.git.made)
	w.pushOn(base, wants)
}

// lag lets a replica that lags behind answer, until the faults end.
func (w *world) lag() {
	at := w.git.head
	for range 1 + w.random.IntN(3) {
		if at.parent != nil {
			at = at.parent
		}
	}
	w.note("fault: the refs lag behind at %s", at.hash[:10])
	w.git.set(func(g *git) { g.stale = at })
}

func (w *world) command() {
	commands := []string{"sync", "retry", "pause", "resume", "approve", "rollback", "resume", "sync", "approve"}
	chosen := commands[w.random.IntN(len(commands))]
	w.note("a user asks: %s", chosen)
	w.ask(chosen)
}

// drift changes the live stack by hand.
func (w *world) drift() {
	service := []string{"s_web", "s_worker", "s_cron_service"}[w.random.IntN(3)]
	switch w.random.IntN(4) {
	case 0:
		err := w.engine.RemoveService(context.Background(), service)
		w.note("by hand: removal of %s: %v", service, err)
		if err == nil {
			w.setMeddled()
		}
	case 1:
		count := w.random.Uint64N(4)
		w.meddle(service, "scale", func(spec *swarm.ServiceSpec) { spec.Mode.Replicated.Replicas = &count })
	case 2:
		w.meddle(service, "image", func(spec *swarm.ServiceSpec) { spec.TaskTemplate.ContainerSpec.Image = "coin/other:1" })
	default:
		w.meddle(service, "environment", func(spec *swarm.ServiceSpec) {
			spec.TaskTemplate.ContainerSpec.Env = append(spec.TaskTemplate.ContainerSpec.Env, "BY_HAND=1")
		})
	}
}

// addIntruder puts a service of another node, or of another tool, into the stack, and commits
// a release. The agent refuses to deploy beside the first, and waits for adoption of the second.
func (w *world) addIntruder() {
	if !w.intruder {
		labels := map[string]string{"com.docker.stack.namespace": stack}
		if w.random.IntN(2) == 0 {
			labels["coin-agent.owner"] = "sandbox/node9"
		}
		_, err := w.engine.Client(enginetest.Hooks{}).ServiceCreate(context.Background(), foreignService(intruder, labels), swarm.ServiceCreateOptions{})
		w.note("an intruder comes: %v", err)
		w.intruder = err == nil
		w.foreign = w.foreignNow()
	}
	w.pushGood()
}

// restart stops the agent as systemd does, and starts it again.
func (w *world) restart() {
	w.note("the agent is restarted")
	w.stop()
	w.start()
}

// settle ends the faults and lets time pass until the agent is idle.
func (w *world) settle() {
	w.heal()
	w.note("faults end")
	looks, last, paused := 0, time.Time{}, false
	for range 250 {
		w.pass(interval + interval/6)
		if len(w.unreachable) > 0 {
			w.heal() // a commit that came with the end of a process brought a fault
		}
		if w.process == nil || w.process.parts == nil {
			continue
		}
		now := w.process.parts.look()
		if why := w.unsettled(now); why != "" || now.paused != paused {
			looks, paused = 0, now.paused
			continue
		}
		if !now.lastLook.Equal(last) {
			last = now.lastLook
			looks++
		}
		if looks >= 2 {
			return
		}
	}
	w.fail("the agent does not become idle: %+v: %s", w.process.parts.look(), w.unsettled(w.process.parts.look()))
}

// unsettled says what the agent still has to do.
func (w *world) unsettled(now seen) string {
	head := w.git.head.hash
	w.refused = !w.rewrites && now.commit != "" && !w.git.head.descends(now.commit)
	switch {
	case now.undelivered > 0:
		return "statuses or anchors are not delivered"
	case w.refused:
		if now.desired != head || !strings.Contains(now.pollError, "rewritten") {
			return "the rewritten branch is not refused yet"
		}
		return ""
	case w.intruder && strings.Contains(now.pollError, intruder):
		return "" // a drift cannot be corrected while the service of another node is there
	case now.pollError != "":
		return "it cannot look: " + now.pollError
	case now.desired != head || now.commit != head:
		return "it has not synced the head"
	case now.busy:
		return "it is busy"
	}
	return ""
}
