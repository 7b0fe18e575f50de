package enginetest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/swarm"
)

// Behaviour is what a container of an image does. The zero value starts at once, runs
// until it is stopped, and passes its health checks.
type Behaviour struct {
	Pull  time.Duration // how long the image takes to pull, the first time
	Ends  bool          // it ends by itself, with Exit, After it has started
	Exit  int
	After time.Duration
	Stop  time.Duration // how long it takes to stop after SIGTERM; its grace period at most

	Checked   bool          // the image itself has a health check: each second, three retries
	Unhealthy bool          // health checks fail always
	Sick      time.Duration // from when on after the start they fail again; 0 for never

	Missing     bool   // no registry has the image
	Unreachable bool   // the registry does not answer, nor does its name resolve
	Unpulled    string // why the registry does not give the image, in its words; "" if it does
	Local       bool   // the node has it, and no registry
	Refused     string // the engine's words when it cannot make the container
	Prints      []string
	Runs        func(command []string) Command // what commands in it do; nothing, and end with 0, by default
}

// Trait is something about how the containers of an image behave. It may depend on
// the spec that the container is made of.
type Trait func(*Behaviour, *swarm.ContainerSpec)

// Crashes makes containers end with an exit code some time after their start.
func Crashes(exit int, after time.Duration) Trait {
	return func(b *Behaviour, _ *swarm.ContainerSpec) { b.Ends, b.Exit, b.After = true, exit, after }
}

// Completes makes containers end with exit code 0.
func Completes(after time.Duration) Trait { return Crashes(0, after) }

// Missing makes the image absent from every registry and node.
func Missing() Trait { return func(b *Behaviour, _ *swarm.ContainerSpec) { b.Missing = true } }

// Unreachable makes the image's registry unreachable.
func Unreachable() Trait { return func(b *Behaviour, _ *swarm.ContainerSpec) { b.Unreachable = true } }

// Unpulled makes the image's registry refuse every request, for a reason in its words.
func Unpulled(words string) Trait {
	return func(b *Behaviour, _ *swarm.ContainerSpec) { b.Unpulled = words }
}

// Local puts the image on the nodes and in no registry.
func Local() Trait { return func(b *Behaviour, _ *swarm.ContainerSpec) { b.Local = true } }

// Refused makes the engine refuse to create containers, with these words.
func Refused(words string) Trait {
	return func(b *Behaviour, _ *swarm.ContainerSpec) { b.Refused = words }
}

// Pulls sets how long a node takes to pull the image.
func Pulls(d time.Duration) Trait { return func(b *Behaviour, _ *swarm.ContainerSpec) { b.Pull = d } }

// Unhealthy makes every health check fail.
func Unhealthy() Trait { return func(b *Behaviour, _ *swarm.ContainerSpec) { b.Unhealthy = true } }

// SickAfter makes health checks fail from some time after the start on.
func SickAfter(d time.Duration) Trait {
	return func(b *Behaviour, _ *swarm.ContainerSpec) { b.Sick = d }
}

// Checked gives the image a health check of its own.
func Checked() Trait { return func(b *Behaviour, _ *swarm.ContainerSpec) { b.Checked = true } }

// image is one content of an image, whatever tag it has.
type image struct {
	digest string
	traits []Trait
	here   bool // on the nodes
}

// behave gives what a container of the image does that is made of a spec.
func (i *image) behave(spec *swarm.ContainerSpec) Behaviour {
	if i == nil {
		return Behaviour{Missing: true}
	}
	b := Behaviour{Stop: stops}
	for _, trait := range i.traits {
		trait(&b, spec)
	}
	return b
}

// images holds what registries and nodes have.
type images struct {
	tags    map[string]*image // by repository:tag
	digests map[string]*image // by repository@digest
	pushed  map[string]int    // how often a tag was pushed
}

func newImages() images {
	return images{tags: map[string]*image{}, digests: map[string]*image{}, pushed: map[string]int{}}
}

// find gives the image that a name means, nil where there is none.
func (all images) find(name string) *image {
	repository, tag, digest := splitImage(name)
	if digest != "" {
		return all.digests[repository+"@"+digest]
	}
	return all.tags[repository+":"+tag]
}

// splitImage takes an image's name apart. What docker.io stands for is left out.
func splitImage(name string) (repository, tag, digest string) {
	name, digest, _ = strings.Cut(name, "@")
	repository, tag = name, "latest"
	if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
		repository, tag = name[:colon], name[colon+1:]
	}
	repository = strings.TrimPrefix(repository, "index.")
	repository = strings.TrimPrefix(repository, "docker.io/")
	return strings.TrimPrefix(repository, "library/"), tag, digest
}

// withTag gives an image's name with the tag that docker's client adds.
func withTag(name string) string {
	repository, tag, digest := splitImage(name)
	if digest != "" || strings.HasSuffix(name, ":"+tag) || repository == "" {
		return name
	}
	return name + ":" + tag
}

// Image pushes an image to its registry under ref, and says how its containers
// behave. Pushed again, ref has another digest, and what is pinned to the earlier one
// stays as it is. An image that was never pushed is Missing.
func (e *Engine) Image(ref string, traits ...Trait) {
	e.do(func() {
		repository, tag, _ := splitImage(ref)
		name := repository + ":" + tag
		e.images.pushed[name]++
		sum := sha256.Sum256([]byte(name + "#" + strconv.Itoa(e.images.pushed[name])))
		made := &image{digest: "sha256:" + hex.EncodeToString(sum[:]), traits: slices.Clone(traits)}
		e.images.tags[name] = made
		e.images.digests[repository+"@"+made.digest] = made
	})
}

// Alter changes how the containers of an image behave from now on, as when what they
// need comes or goes. The image keeps its digest; containers that run are not touched.
func (e *Engine) Alter(ref string, traits ...Trait) {
	e.do(func() {
		if found := e.images.find(ref); found != nil {
			found.traits = slices.Clone(traits)
		}
	})
}

// Digest gives the digest that ref has now, "" where nothing was pushed.
func (e *Engine) Digest(ref string) string {
	digest := ""
	e.do(func() {
		if found := e.images.find(ref); found != nil {
			digest = found.digest
		}
	})
	return digest
}

// absent gives the words of a node that cannot get an image, and whether it goes on
// trying instead of refusing the task.
func (e *Engine) absent(name string, b Behaviour) (words string, retries bool) {
	switch {
	case !e.atLeast(29):
		return "No such image: " + name, false
	case b.Unreachable:
		return fmt.Sprintf("failed to resolve reference %q: failed to do request: dial tcp: lookup registry: network is unreachable", name), true
	case b.Unpulled != "":
		return fmt.Sprintf("failed to resolve reference %q: %s", name, b.Unpulled), false
	default:
		return fmt.Sprintf("failed to resolve reference %q: %s: not found", name, name), false
	}
}
