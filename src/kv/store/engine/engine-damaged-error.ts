/** The one error that says something about the files: they can't be trusted and no retry will help. */
export class EngineDamagedError extends Error {
  readonly code = 'ENGINE_DAMAGED';
  readonly engine: string;

  constructor(engine: string, reason: string, options?: ErrorOptions) {
    super(`engine ${engine} is damaged: ${reason}`, options);
    this.name = 'EngineDamagedError';
    this.engine = engine;
  }
}

/** What the walkers of LevelDB's files throw; they do not know which engine they look at. */
export class LevelFileError extends Error {
  constructor(file: string, reason: string, options?: ErrorOptions) {
    super(`${file}: ${reason}`, options);
    this.name = 'LevelFileError';
  }
}

/** LevelDB's word for what it can't decode, as damage of the engine; any other error as it is. */
export function asDamage(engine: string, error: unknown): unknown {
  if (!(error instanceof Error) || (error as NodeJS.ErrnoException).code !== 'LEVEL_CORRUPTION') return error;
  return new EngineDamagedError(engine, error.message, { cause: error });
}
