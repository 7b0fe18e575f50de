package enginetest_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"testing/synctest"

	"coin.internal/coin-agent/deploy"
	"coin.internal/coin-agent/deploy/enginetest"
	"coin.internal/coin-agent/deploy/swarmtest"
)

const (
	image1 = "coin/app:1"
	image2 = "coin/app:2"
	absent = "127.0.0.1:1/coin/absent:1"
)

// TestMain lets the tests on the real engine run side by side: they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "12"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(swarmtest.Main(m))
}

// simulated gives a simulated engine that has the demo program.
func simulated() (*enginetest.Engine, enginetest.World) {
	engine := enginetest.New(enginetest.Options{})
	engine.Image(image1, enginetest.DemoApp())
	engine.Image(image2, enginetest.DemoApp())
	return engine, enginetest.World{
		Swarm: engine.Client(enginetest.Hooks{}), Stack: "t1-1", Images: [2]string{image1, image2}, Absent: absent,
	}
}

func realWorld(t *testing.T, on *swarmtest.Swarm, stack string) enginetest.World {
	t.Helper()
	api, err := deploy.Dial(on.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Close() })
	return enginetest.World{Swarm: api, Stack: stack, Images: [2]string{image1, image2}, Absent: absent}
}

// TestContractOfTheSimulatedEngine runs each test in a bubble of its own.
func TestContractOfTheSimulatedEngine(t *testing.T) {
	enginetest.Contract(t, func(t *testing.T, test func(*testing.T, enginetest.World)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			_, world := simulated()
			test(t, world)
		})
	})
}

func TestContractOfTheRealEngine(t *testing.T) {
	enginetest.Contract(t, func(t *testing.T, test func(*testing.T, enginetest.World)) {
		t.Helper()
		t.Parallel()
		on := swarmtest.Engine(t)
		on.Image(t, image1, image2)
		test(t, realWorld(t, on, on.Stack(t)))
	})
}

func TestRestartOfTheSimulatedEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, world := simulated()
		enginetest.ContractOfRestart(t, world, func() {
			engine.Stop()
			engine.Start()
		})
	})
}

func TestRestartOfTheRealEngine(t *testing.T) {
	t.Parallel()
	on := swarmtest.Own(t)
	on.Image(t, image1, image2)
	enginetest.ContractOfRestart(t, realWorld(t, on, "t1-1"), func() {
		if err := on.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
