// Package contexts finds Docker contexts by name, as the docker CLI stores them, and gives a
// client for the endpoint of one: a socket, TCP with or without TLS, or SSH. It only reads: no
// context is changed, and none becomes the current one.
package contexts

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/cli/cli/config"
	"github.com/docker/cli/cli/context/docker"
	"github.com/docker/cli/cli/context/store"
	"github.com/docker/docker/client"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/visible"
)

// Default is the name of the context that is not stored: the engine of DOCKER_HOST, or that of
// the local socket.
const Default = "default"

// Folder gives the folder of the docker CLI's configuration: DOCKER_CONFIG, else ~/.docker.
func Folder() string {
	home, _ := os.UserHomeDir() // without one the folder is relative, as the CLI has it
	return cmp.Or(os.Getenv(config.EnvOverrideConfigDir), filepath.Join(home, ".docker"))
}

// Store is the contexts in one folder of the docker CLI.
type Store struct {
	folder string
	stored *store.ContextStore
}

// In gives the contexts in a folder of the docker CLI's configuration.
func In(folder string) *Store {
	return &Store{folder: folder, stored: store.New(filepath.Join(folder, "contexts"), store.NewConfig(
		func() any { return &map[string]any{} },
		store.EndpointTypeGetter(docker.DockerEndpoint, func() any { return &docker.EndpointMeta{} }),
	))}
}

// Names gives the names of all contexts, sorted.
func (s *Store) Names() ([]string, error) {
	names, err := store.Names(s.stored)
	if err != nil {
		return nil, fmt.Errorf("list the Docker contexts in %s: %w", s.folder, err)
	}
	names = append(names, Default)
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Current gives the name of the context that the docker CLI would use without --context:
// `default` with DOCKER_HOST, else DOCKER_CONTEXT, else the one that `docker context use` set.
func (s *Store) Current() (string, error) {
	if os.Getenv(client.EnvOverrideHost) != "" {
		return Default, nil
	}
	if name := os.Getenv("DOCKER_CONTEXT"); name != "" {
		return name, nil
	}
	settings, err := config.Load(s.folder)
	if err != nil {
		return "", fmt.Errorf("find the current Docker context: %w", err)
	}
	return cmp.Or(settings.CurrentContext, Default), nil
}

// Endpoint is where a context's engine is, and how a client proves itself to it.
type Endpoint struct {
	Context string // its name
	Host    string // unix:///path, tcp://host:port or ssh://user@host

	with docker.Endpoint
}

// Find gives the endpoint of the context with a name. It connects to nothing.
func (s *Store) Find(name string) (Endpoint, error) {
	if name == Default {
		return s.standard()
	}
	metadata, err := s.stored.GetMetadata(name)
	switch {
	case errdefs.IsNotFound(err):
		return Endpoint{}, s.missing(name)
	case err != nil:
		return Endpoint{}, s.refuse(name, err, "read it")
	case metadata.Name != name: // the folder's name is a digest of the context's
		return Endpoint{}, s.refuse(name, fmt.Errorf("it has the name %q in its file", visible.Line(metadata.Name)), "read it")
	}
	meta, err := docker.EndpointFromContext(metadata)
	if err != nil || meta.Host == "" {
		return Endpoint{}, s.refuse(name, cmp.Or(err, errors.New("it names no Docker engine")), "read its endpoint")
	}
	with, err := docker.WithTLSData(s.stored, name, meta)
	if err != nil {
		return Endpoint{}, s.refuse(name, err, "read its certificates")
	}
	return endpoint(name, with)
}

// missing gives the error for a context that does not exist; its hint lists those that do.
func (s *Store) missing(name string) error {
	names, err := s.Names()
	if err != nil {
		names = []string{Default}
	}
	shown := visible.Line(strings.Join(names, ", "))
	hint := "name one of these contexts: " + shown
	if near := fault.Nearest(name, names); near != "" {
		hint = fmt.Sprintf("do you mean %s? The contexts are: %s", visible.Line(near), shown)
	}
	return fault.WithCode(fault.New(fault.Place{}, hint, "no Docker context %q in %s", visible.Line(name), s.folder), fault.CodeEngine)
}

func (s *Store) refuse(name string, err error, doing string) error {
	shown := visible.Line(name)
	return fault.WithCode(fault.New(fault.Place{}, fmt.Sprintf("compare with `docker context inspect %s`", shown),
		"Docker context %q in %s: %s: %s", shown, s.folder, doing, visible.Line(err.Error())), fault.CodeEngine)
}

func endpoint(name string, with docker.Endpoint) (Endpoint, error) {
	scheme := ""
	if at, err := url.Parse(with.Host); err == nil {
		scheme = at.Scheme
	}
	if !slices.Contains([]string{"unix", "tcp", "http", "https", "ssh"}, scheme) {
		return Endpoint{}, fault.WithCode(fault.New(fault.Place{}, "give the context an endpoint of the form unix:///path, tcp://host:port or ssh://user@host",
			"Docker context %q has the endpoint %q, which the agent cannot use", visible.Line(name), visible.Line(with.Host)), fault.CodeEngine)
	}
	return Endpoint{Context: name, Host: with.Host, with: with}, nil
}

// Warning says what protects neither what is sent to the engine nor the engine itself; "" where
// it is a socket, SSH, or TLS in which both sides prove who they are.
func (e Endpoint) Warning() string {
	name, host := visible.Line(e.Context), visible.Line(e.Host)
	switch {
	case strings.HasPrefix(e.Host, "unix:"), strings.HasPrefix(e.Host, "ssh:"):
		return ""
	case e.with.TLSData == nil && !e.with.SkipTLSVerify && !strings.HasPrefix(e.Host, "https:"):
		return fmt.Sprintf("Docker context %q reaches %s without TLS: secrets are sent in plaintext", name, host)
	case e.with.SkipTLSVerify:
		return fmt.Sprintf("Docker context %q does not verify the certificate of %s: secrets may be sent to another machine", name, host)
	}
	return ""
}

// Client gives a client of the engine, which negotiates the version of the API. It sends nothing
// yet. For ssh:// it runs the program ssh, which asks no questions.
func (e Endpoint) Client() (*client.Client, error) {
	options, err := e.with.ClientOpts()
	if err == nil {
		var api *client.Client
		if api, err = client.NewClientWithOpts(options...); err == nil {
			return api, nil
		}
	}
	return nil, fault.WithCode(fault.New(fault.Place{}, fmt.Sprintf("compare with `docker context inspect %s`", visible.Line(e.Context)),
		"use Docker context %q: %s", visible.Line(e.Context), visible.Line(err.Error())), fault.CodeEngine)
}
