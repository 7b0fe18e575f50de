package signing

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/cosign"
	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/policy"
	"coin.internal/coin-agent/secrets"
)

const (
	// imagesAtOnce is how many images are asked about at the same time.
	imagesAtOnce = 4

	// mostKnown bounds the signatures that are remembered.
	mostKnown = 10_000
)

// Images demands signatures of images, by their digests. A signature that was verified is not
// asked for again, as long as its key is listed and the process runs. It is safe for concurrent
// use.
type Images struct {
	registries cosign.Options

	mu    sync.Mutex
	known map[signature]bool
}

// undigested is the hint about an image whose digest the engine could not find out.
const undigested = "make sure that the engine of this node can reach the registry, so that it finds out the digest; the agent asks again; images.resolve: always in config.yml asks also for an image that runs without one"

// signature is one that was verified.
type signature struct{ image, key string }

// Login gives the login for a registry; an empty user for none.
type Login func(ctx context.Context, host string) (user string, password secrets.Value, err error)

// NewImages makes Images that ask registries with a node's logins; a nil login has none.
func NewImages(registries cosign.Options, login Login) *Images {
	if login != nil {
		registries.Login = func(ctx context.Context, host string) (string, cosign.Secret, error) {
			user, password, err := login(ctx, host)
			return user, password, err
		}
	}
	return &Images{registries: registries, known: map[signature]bool{}}
}

// Verdict is what the policy says of the images of a stack.
type Verdict struct {
	Refusals []policy.Refusal
	Warnings []string
	Signed   int // images that have the signatures which the policy demands
}

// question asks whether an image has a signature.
type question struct {
	rule     *policy.ImageSignature
	keys     []cosign.Key
	image    cosign.Image
	text     string   // the image as the service has it
	services []string // that run it, by their names in the compose files
	err      error    // the answer
}

// Judge looks for the signatures that a policy demands of images, which are given by the full
// names of the stack's services that run them. An error is transient: keys or a registry could
// not be read.
func (i *Images) Judge(ctx context.Context, rules *policy.Policy, stack *compose.Stack, images map[string]string) (Verdict, error) {
	var verdict Verdict
	var failed []error
	questions := questionsOf(rules, stack, images)
	i.ask(ctx, questions)
	if err := ctx.Err(); err != nil {
		return verdict, err
	}
	unsigned, told := map[string]bool{}, map[string]bool{}
	for _, one := range questions {
		_, isRefusal := errors.AsType[*cosign.Refused](one.err)
		if errors.Is(one.err, cosign.ErrUndigested) {
			if isRefusal = stack.Resolve == compose.ResolveNever; !isRefusal {
				one.err = fault.WithHint(one.err, undigested)
			}
		}
		switch {
		case one.err == nil:
			continue
		case !one.rule.Required:
			verdict.Warnings = append(verdict.Warnings, "image "+one.text+" of "+strings.Join(one.services, ", ")+": "+words(one.err))
		case isRefusal:
			for _, service := range one.services {
				verdict.Refusals = append(verdict.Refusals, one.rule.Refuse(service, one.text, stack.Place("services", service, "image"), one.err.Error()))
			}
		case !told[one.err.Error()]: // once for all images
			told[one.err.Error()] = true
			failed = append(failed, fault.WithHint(errors.New("image "+one.text+" of "+strings.Join(one.services, ", ")+": "+one.err.Error()), fault.Hint(one.err)))
		}
		unsigned[one.text] = true
	}
	for _, one := range questions {
		if !unsigned[one.text] {
			unsigned[one.text] = true // counted once
			verdict.Signed++
		}
	}
	return verdict, fault.Transient(errors.Join(failed...))
}

// words gives an error with its hint.
func words(err error) string {
	if hint := fault.Hint(err); hint != "" {
		return err.Error() + ": " + hint
	}
	return err.Error()
}

// questionsOf gives what has to be asked: once for each image and rule, in order. Those whose
// keys cannot be read have that answer.
func questionsOf(rules *policy.Policy, stack *compose.Stack, images map[string]string) (all []*question) {
	for n := range rules.Signatures() {
		rule := &rules.Signatures()[n]
		asked := map[string]*question{}
		for _, name := range slices.Sorted(maps.Keys(images)) {
			text := images[name]
			if !rule.Concerns(text) {
				continue
			}
			if asked[text] == nil {
				asked[text] = &question{rule: rule, image: cosign.ParseImage(text), text: text}
			}
			asked[text].services = append(asked[text].services, strings.TrimPrefix(name, stack.Name+"_"))
		}
		if len(asked) == 0 {
			continue
		}
		keys, err := cosign.Load(rule.Keys)
		for _, text := range slices.Sorted(maps.Keys(asked)) {
			asked[text].keys, asked[text].err = keys, err
			all = append(all, asked[text])
		}
	}
	return all
}

// KeysOf gives the fingerprints of the keys that may sign images by a policy, rule by rule. In
// the place of those that cannot be read it gives why.
func KeysOf(rules *policy.Policy) (all []string) {
	for _, rule := range rules.Signatures() {
		keys, err := cosign.Load(rule.Keys)
		if err != nil {
			all = append(all, err.Error())
		}
		for _, key := range keys {
			all = append(all, key.Fingerprint)
		}
	}
	return all
}

// ask answers questions. A registry that does not answer is not asked about other images.
func (i *Images) ask(ctx context.Context, questions []*question) {
	var group sync.WaitGroup
	var mu sync.Mutex
	down := map[string]error{}
	room := make(chan struct{}, imagesAtOnce)
	for _, one := range questions {
		if one.err != nil || i.remembers(one) {
			continue
		}
		host, _, _ := strings.Cut(one.image.Name, "/")
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			mu.Lock()
			one.err = down[host]
			mu.Unlock()
			if one.err != nil {
				return
			}
			key, err := i.registries.Verify(ctx, one.image, one.keys)
			if one.err = err; err == nil {
				i.remember(one.image, key)
			}
			if errors.Is(err, cosign.ErrUnreachable) {
				mu.Lock()
				down[host] = err
				mu.Unlock()
			}
		})
	}
	group.Wait()
}

// remembers reports whether a listed key is known to have signed the image.
func (i *Images) remembers(one *question) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return one.image.Digest != "" && slices.ContainsFunc(one.keys, func(key cosign.Key) bool {
		return i.known[signature{one.image.String(), key.Fingerprint}]
	})
}

func (i *Images) remember(image cosign.Image, key cosign.Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.known) >= mostKnown {
		clear(i.known)
	}
	i.known[signature{image.String(), key.Fingerprint}] = true
}
