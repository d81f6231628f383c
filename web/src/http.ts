// One request to the server this page came from; a failure is an error that says what was refused.

/** What the server answered when it did not do what was asked. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
    readonly body: unknown,
  ) {
    super(message);
  }
}

/** The fields either API puts into an error: Prometheus's envelope or the loop's own. */
interface ErrorBody {
  error?: string;
  errorType?: string;
  message?: string;
}

/** Sends a request and reads its JSON. */
export async function request<T>(path: string, init?: RequestInit): Promise<T> {
  const response = await fetch(path, init);
  const text = await response.text();
  const body: unknown = text === "" ? null : parse(text);
  if (!response.ok) throw refusal(response, body, text);
  return body as T;
}

/** Sends JSON. */
export function send<T>(method: string, path: string, body: unknown): Promise<T> {
  const headers = { "content-type": "application/json" };
  return request<T>(path, { method, headers, body: JSON.stringify(body) });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function refusal(response: Response, body: unknown, text: string): Refused {
  const { error, errorType, message } = (body ?? {}) as ErrorBody;
  const kind = errorType ?? error ?? String(response.status);
  return new Refused(response.status, kind, message ?? error ?? (text || response.statusText), body);
}

/** An error as a sentence. */
export function sentence(error: unknown): string {
  if (error instanceof Refused) return error.message;
  return error instanceof Error ? error.message : String(error);
}
