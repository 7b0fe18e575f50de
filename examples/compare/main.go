// Command compare measures the agent and `docker stack deploy` side by side: the same stacks on the
// same private engine, in turn, through a proxy that counts the calls. `make compare` runs it, and
// writes docs/comparison.md. It exits with 1 if the agent is slower in any row.
//
//	go run ./examples/compare -agent bin/agent [-engines "20.10 28.5"] [-loads "1x20 1x200 10x20"] [-rounds 5] [-peers "SCRIPT …"] [-o FILE]
//
// It needs root on a Linux machine with Docker, git and docker-registry.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"coin.internal/coin-agent/deploy/swarmtest"
	"coin.internal/coin-agent/internal/fault"
)

const (
	exitFailed = 1
	exitUsage  = 2

	installed = "20.10" // the engine of Debian 12, which has no name in swarmtest
)

// options are what a user chooses.
type options struct {
	agent   string
	docker  string
	engines []string
	loads   []load
	rounds  int
	peers   []string // paths of scripts
	output  string   // "" for the standard output
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run compares, and gives the exit code.
func run(ctx context.Context, args []string, out, progress io.Writer) int {
	asked, err := readOptions(args, progress)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(progress, "compare: error: %v\n", err)
		return exitUsage
	}
	done, err := compare(ctx, asked, progress)
	if err == nil {
		err = write(asked.output, done.markdown(), out)
	}
	if err != nil {
		fmt.Fprintf(progress, "compare: error: %v\n", err)
		if hint := fault.Hint(err); hint != "" {
			fmt.Fprintf(progress, "compare: hint: %s\n", hint)
		}
		return exitFailed
	}
	slower := done.slower()
	for _, one := range slower {
		fmt.Fprintf(progress, "compare: error: the agent is slower: %s\n", one)
	}
	if len(slower) > 0 {
		return exitFailed
	}
	return 0
}

func readOptions(args []string, progress io.Writer) (options, error) {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(progress)
	var asked options
	var engines, loads, peers string
	flags.StringVar(&asked.agent, "agent", "bin/agent", "the built agent")
	flags.StringVar(&asked.docker, "docker", "docker", "the docker CLI")
	flags.StringVar(&engines, "engines", "20.10 28.5", "versions of the engine: 20.10 is the installed one, the others come from scripts/engine")
	flags.StringVar(&loads, "loads", "1x20 1x200 10x20", "loads: stacks x services of each")
	flags.IntVar(&asked.rounds, "rounds", 5, "how often each tool takes all steps")
	flags.StringVar(&peers, "peers", "", "paths of scripts that run other tools; examples/compare/README.md says how")
	flags.StringVar(&asked.output, "o", "", "the file to write; the standard output by default")
	if err := flags.Parse(args); err != nil {
		return asked, err
	}
	asked.engines = strings.Fields(engines)
	var err error
	if asked.loads, err = parseLoads(loads); err != nil {
		return asked, err
	}
	switch {
	case flags.NArg() > 0:
		return asked, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case len(asked.engines) == 0:
		return asked, errors.New("no engine is given")
	case asked.rounds < 1:
		return asked, errors.New("at least one round is needed")
	}
	for script := range strings.FieldsSeq(peers) {
		path, err := filepath.Abs(script)
		if err != nil {
			return asked, err
		}
		asked.peers = append(asked.peers, path)
	}
	if asked.agent, err = filepath.Abs(asked.agent); err != nil {
		return asked, err
	}
	asked.docker, err = exec.LookPath(asked.docker)
	return asked, err
}

// write writes the document to a file, or to out.
func write(file, text string, out io.Writer) error {
	if file == "" {
		_, err := io.WriteString(out, text)
		return err
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}

// compare runs all loads on all engines.
func compare(ctx context.Context, asked options, progress io.Writer) (*report, error) {
	about, err := describe(ctx, asked.agent, asked.docker)
	if err != nil {
		return nil, err
	}
	done := &report{machine: about, rounds: asked.rounds}
	for _, name := range asked.engines {
		fmt.Fprintf(progress, "engine %s\n", name)
		one, err := onEngine(ctx, name, asked, done, progress)
		if err != nil {
			return nil, fmt.Errorf("engine %s: %w", name, err)
		}
		done.engines = append(done.engines, one)
	}
	return done, nil
}

// onEngine runs all loads on a private engine of a version.
func onEngine(ctx context.Context, name string, asked options, into *report, progress io.Writer) (one measured, err error) {
	if err := os.Setenv(swarmtest.VersionVariable, strings.TrimPrefix(name, installed)); err != nil {
		return one, err
	}
	images := 0
	for _, l := range asked.loads {
		images = max(images, l.images())
	}
	w := &world{}
	defer func() { err = errors.Join(err, w.cleanUp.Run()) }()
	if err := w.open(ctx, images); err != nil {
		return one, err
	}
	version, err := w.api.ServerVersion(ctx)
	if err != nil {
		return one, fmt.Errorf("ask the engine for its version: %w", err)
	}
	one.engine = version.Version
	tools := toolsOf(w, asked)
	into.tools = nil
	for _, tool := range tools {
		into.tools = append(into.tools, tool.name())
	}
	b := &bench{world: w, tools: tools, rounds: asked.rounds, out: progress}
	for _, l := range asked.loads {
		b.load = l
		result, err := b.run(ctx)
		if err != nil {
			return one, err
		}
		one.results = append(one.results, result)
	}
	return one, nil
}

// toolsOf gives the tools that are compared.
func toolsOf(w *world, asked options) []tool {
	all := []tool{
		&agent{proxy: w.proxy, dir: filepath.Join(w.dir, "agent"), program: asked.agent, repository: w.repo.url},
		&cli{host: w.proxy.host, dir: filepath.Join(w.dir, "cli"), program: asked.docker},
	}
	for i, script := range asked.peers {
		all = append(all, &peer{proxy: w.proxy, dir: filepath.Join(w.dir, fmt.Sprintf("peer%d", i+1)), script: script, repository: w.repo.url})
	}
	return all
}
