import ArgumentParser

struct RecipeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recipe",
        abstract: "Write, check, store, start and stop recipes.",
        discussion: """
            A recipe is a YAML file:

              recipe: TMA and water
              description: one monolayer of alumina per cycle
              steps:
                - set: Chamber Heater.temperature
                  to: 200
                  ramp: 0.5            # units per second; left out: at once
                  hold: 10m
                - loop: 100
                  name: cycle
                  steps:
                    - valve: Valve 1.valve_state
                      open: 15ms
                    - purge: N2
                      for: 2s
                      flow: MFC 1.flow # left out: as it is
                      to: 100
                    - valve: Valve 2.valve_state
                      open: 30ms
                    - wait: 3s

            Parameters are called as in the register map. Times are whole milliseconds:
            15ms, 2s, 1.5s, 10m, 1h. Loops nest to eight. Whatever happens, a valve that
            a recipe has opened is closed.

            FROM FILE TO MACHINE
              ald recipe validate alumina.yaml
              ald recipe import alumina.yaml --operator ann
              ald recipe start "TMA and water" --wait
              ald recipe pause      ald recipe resume      ald recipe stop

            Recipes are run by the recipe service: `ald run`, or `ald recipes` alone.
            """,
        subcommands: [
            RecipeValidateCommand.self, RecipeImportCommand.self, RecipeListCommand.self, RecipeShowCommand.self,
            RecipeStartCommand.self, RecipeStopCommand.self, RecipePauseCommand.self, RecipeResumeCommand.self,
            RecipeClearCommand.self,
        ])
}
