package policy

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/internal/fault"
)

// ImageSignature demands that images are signed.
type ImageSignature struct {
	// Images are patterns of an image's full name; "*" is every image. A tag in a pattern would
	// let a commit evade the demand by another tag, or by a digest.
	Images Patterns `json:"images" yaml:"images"`
	// Keys are files with the public keys of those who may sign, one each, as cosign writes
	// them. A signature by one of them is enough.
	Keys []string `json:"keys" yaml:"keys,flow"`
	// Required refuses an image without such a signature. Otherwise a warning tells of it.
	Required bool `json:"required" yaml:"required"`
}

// ruleSignatures is the rule's name in messages.
const ruleSignatures = "images.signatures"

// readSignatures reads a list of {images: PATTERNS, keys: FILES, required: true}.
func readSignatures(p *Policy, file string, value *yaml.Node) error {
	const form = "write signatures: [{images: [registry.example.com/*], keys: [/etc/coin-agent/cosign.pub]}]"
	if value.Kind != yaml.SequenceNode || len(value.Content) == 0 {
		return fault.New(placeIn(file, value), form, "policy.%s is not a list of signatures", ruleSignatures)
	}
	var faults []error
	for _, item := range value.Content {
		one, err := readSignature(file, item)
		if err == nil && (len(one.Images) == 0 || len(one.Keys) == 0) {
			err = fault.New(placeIn(file, item), form, "policy.%s does not name both images and keys", ruleSignatures)
		}
		if i := slices.IndexFunc(one.Images, tagged); err == nil && i >= 0 {
			err = fault.New(placeIn(file, item), "write the name alone: the signature is for the digest that runs", "policy.%s names an image with a tag or digest: %s", ruleSignatures, one.Images[i])
		}
		p.Images.Signatures = append(p.Images.Signatures, one)
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// tagged reports whether a pattern has a tag or digest.
func tagged(pattern string) bool {
	return strings.Contains(pattern, "@") || strings.LastIndex(pattern, ":") > strings.LastIndex(pattern, "/")
}

func readSignature(file string, value *yaml.Node) (ImageSignature, error) {
	one := ImageSignature{Required: true}
	return one, eachKnown(file, ruleSignatures, value, map[string]func(*yaml.Node) error{
		"images": func(value *yaml.Node) error {
			if value.Kind == yaml.ScalarNode && value.Value != "" {
				one.Images = Patterns{value.Value}
				return nil
			}
			return patternsInto(file, ruleSignatures+".images", &one.Images)(value)
		},
		"keys": func(value *yaml.Node) (err error) {
			one.Keys, err = readPaths(file, value)
			return err
		},
		"required": func(value *yaml.Node) error { return readBool(file, ruleSignatures+".required", value, &one.Required) },
	})
}

// Signatures gives the signatures that the policy demands of images; nil for none.
func (p *Policy) Signatures() []ImageSignature {
	if p == nil || p.Images == nil {
		return nil
	}
	return p.Images.Signatures
}

// Concerns reports whether the signature is demanded of an image.
func (s ImageSignature) Concerns(image string) bool {
	name := imageOf(image).name
	return slices.ContainsFunc(s.Images, func(pattern string) bool { return glob(pattern, name) })
}

// Refuse makes the refusal of a service whose image does not have the signature. why follows
// the image's name.
func (s ImageSignature) Refuse(service, image string, place fault.Place, why string) Refusal {
	return Refusal{
		Rule: ruleSignatures, Service: service, Place: place,
		Message: "service " + service + " runs the image " + image + ", which " + why + ": policy." + ruleSignatures + " does not allow it",
		Hint:    "sign it with the key of " + strings.Join(s.Keys, " or ") + ": cosign sign --key KEY " + signable(image) + "; then agent retry; or have the node's operator change policy." + ruleSignatures + " or its keys, and run systemctl reload coin-agent",
	}
}

// signable gives the name by which an image is signed.
func signable(image string) string {
	one := imageOf(image)
	if _, digest, ok := strings.Cut(image, "@"); ok && one.name != "" {
		return one.name + "@" + digest
	}
	return "IMAGE@DIGEST"
}

// judgeSignatures refuses images whose digest will not be known, so that no signature can be
// looked for. Whether the others are signed is asked where their digests are known.
func judgeSignatures(j *judgement) {
	if j.of.Stack.Resolve != compose.ResolveNever {
		return
	}
	for _, service := range j.services {
		text := service.container.Image
		for _, rule := range j.policy.Signatures() {
			if text != "" && rule.Required && rule.Concerns(text) && !imageOf(text).pinned {
				refusal := rule.Refuse(service.name, text, j.place(service.name, "image"), "has no digest whose signature could be verified")
				refusal.Hint = "remove images.resolve: never from config.yml, or write the image as NAME:TAG@sha256:DIGEST"
				j.refusals = append(j.refusals, refusal)
				break
			}
		}
	}
}
