package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
)

// Images are the images that services may run.
type Images struct {
	// Allow are patterns of an image's full name, such as docker.io/library/redis. A pattern
	// with a tag, such as *:2025-*, also has to match the tag, and allows no image that the
	// files name by its digest: the digest says what runs, whatever the tag says. A pattern
	// with @, such as *:2025-*@*, has to match name, tag and digest. Nil is not set.
	Allow Patterns `json:"allow,omitzero" yaml:"allow,omitempty"`
	// Digest says that the files must name each image by its digest.
	Digest bool `json:"digest,omitempty" yaml:"-"`
	// Signatures are demanded of images; nil for none.
	Signatures []ImageSignature `json:"signatures,omitempty" yaml:"-"`
}

// NamesImages reports whether the policy says which images, or images of which registries,
// services may run.
func (p *Policy) NamesImages() bool {
	return p != nil && (p.Registries != nil || p.Images != nil && p.Images.Allow != nil)
}

// MarshalYAML writes the rule as agent.yml has it.
func (i Images) MarshalYAML() (any, error) {
	var node struct {
		Allow      Patterns         `yaml:"allow,omitempty"`
		Digest     string           `yaml:"digest,omitempty"`
		Signatures []ImageSignature `yaml:"signatures,omitempty"`
	}
	node.Signatures = i.Signatures
	if node.Allow = i.Allow; i.Digest {
		node.Digest = digestRequired
	}
	return node, nil
}

const digestRequired = "required"

// readImages reads a list of patterns, or a mapping.
func readImages(p *Policy, file string, value *yaml.Node) error {
	p.Images = &Images{}
	if value.Kind == yaml.SequenceNode {
		return patternsInto(file, "images", &p.Images.Allow)(value)
	}
	return eachKnown(file, "images", value, map[string]func(*yaml.Node) error{
		"allow": patternsInto(file, "images.allow", &p.Images.Allow),
		"digest": func(value *yaml.Node) error {
			if p.Images.Digest = value.Value == digestRequired; !p.Images.Digest {
				return fault.New(placeIn(file, value), "write required, or leave it out", "policy.images.digest is %q", value.Value)
			}
			return nil
		},
		"signatures": func(value *yaml.Node) error { return readSignatures(p, file, value) },
	})
}

// image is the reference of a service's image.
type image struct {
	name, tag, digest string // the full name; "" for an image that is only an ID
	pinned            bool   // the files name the digest; otherwise a sync put it in the place of the tag
}

func imageOf(text string) image {
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return image{}
	}
	one := image{name: named.Name()}
	if tagged, ok := named.(reference.Tagged); ok {
		one.tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		one.digest, one.pinned = digested.Digest().String(), true
	}
	return one
}

// imageIn gives the image of a service. The label has the image as the files name it.
func imageIn(service service) image {
	one := imageOf(service.container.Image)
	if written := service.spec.Labels[compose.LabelImage]; written != "" {
		one.pinned = imageOf(written).pinned
	}
	return one
}

// match reports whether a pattern allows the image.
func (i image) match(pattern string) bool {
	switch {
	case strings.Contains(pattern, "@"):
		return i.pinned && glob(pattern, i.full())
	case strings.LastIndex(pattern, ":") > strings.LastIndex(pattern, "/"):
		return !i.pinned && glob(pattern, i.name+":"+i.tag)
	}
	return glob(pattern, i.name)
}

// full gives name, tag and digest.
func (i image) full() string {
	text := i.name
	if i.tag != "" {
		text += ":" + i.tag
	}
	return text + "@" + i.digest
}

// entry gives what allows the image in images.allow: its name, or its digest where that is
// what a pattern on tags does not allow.
func (i image) entry(rule *Images) string {
	unpinned := i
	if unpinned.pinned = false; i.pinned && slices.ContainsFunc(rule.Allow, unpinned.match) {
		return i.full()
	}
	return i.name
}

// from reports whether the image is in a registry, or in a project of it.
func (i image) from(registry string) bool {
	registry = strings.TrimSuffix(registry, "/")
	return glob(registry, strings.SplitN(i.name, "/", 2)[0]) || strings.HasPrefix(i.name, registry+"/")
}

// judgeImages refuses images by their registry, their name and the lack of a digest.
func judgeImages(j *judgement) {
	rule := j.policy.Images
	if rule == nil {
		rule = &Images{}
	}
	for _, service := range j.services {
		one, text := imageIn(service), service.container.Image
		if text == "" {
			continue // Inspect could not render it
		}
		at := j.place(service.name, "image")
		if j.policy.Registries != nil && (one.name == "" || !slices.ContainsFunc(j.policy.Registries, one.from)) {
			j.refuse("registries", service.name, at, allow("name another image", "registries", strings.SplitN(one.name, "/", 2)[0]), "runs the image %s%s", text, j.setBy(service.name, "image"))
		}
		if rule.Allow != nil && (one.name == "" || !slices.ContainsFunc(rule.Allow, one.match)) {
			j.refuse("images", service.name, at, allow("name another image", "images.allow", one.entry(rule)), "runs the image %s%s", text, j.setBy(service.name, "image"))
		}
		if rule.Digest && one.digest == "" {
			j.refuse("images", service.name, at, "write it as NAME:TAG@sha256:DIGEST", "runs the image %s, which has no digest%s", text, j.setBy(service.name, "image"))
		}
	}
}

// suggestImages allows the images by their names, in any version. Only a digest that the
// files have counts: a running service has the one that a tag stood for.
func suggestImages(p *Policy, j *judgement) {
	all := true
	for _, service := range j.services {
		one := imageOf(cmp.Or(service.spec.Labels[compose.LabelImage], service.container.Image))
		if all = all && one.pinned; one.name == "" {
			continue
		}
		if p.Images == nil {
			p.Images = &Images{}
		}
		p.Images.Allow = sorted(append(p.Images.Allow, one.name))
		p.Registries = sorted(append(p.Registries, strings.SplitN(one.name, "/", 2)[0]))
	}
	if p.Images != nil {
		p.Images.Digest = all
	}
}
