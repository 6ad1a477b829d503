import type { Message } from '../../lib/replication/messages.js';

/** A message in a few words, for the trace. */
export function describeMessage(message: Message): string {
  switch (message.type) {
    case 'change': {
      const { request, disk, copies, pg, since, vdi, generation, index, sequence, change } = message;
      const where = `disk ${disk} group ${copies}/${pg} since ${since}`;
      return `${request}: ${change.kind} vdi ${vdi} index ${index}, generation ${generation}.${sequence}, ${where}`;
    }
    case 'read': {
      const { request, disk, since, vdi, generation, index, offset, length } = message;
      return `${request}: read vdi ${vdi} ${index}+${offset} ${length}, generation ${generation}, disk ${disk} since ${since}`;
    }
    case 'seek': {
      const { request, disk, since, vdi, generation, index, offset, data } = message;
      const what = data ? 'data' : 'a hole';
      return `${request}: seek ${what} vdi ${vdi} ${index}+${offset}, generation ${generation}, disk ${disk} since ${since}`;
    }
    case 'next':
    case 'end': {
      const { request, type, disk, vdi, generation, pgs, since } = message;
      return `${request}: ${type} vdi ${vdi}, generation ${generation}, disk ${disk} groups ${pgs.join()} since ${since}`;
    }
    case 'flush': {
      const { request, disk, vdi, generation, pgs, since } = message;
      return `${request}: flush vdi ${vdi}, generation ${generation}, disk ${disk} groups ${pgs.join()} since ${since}`;
    }
    case 'retire': {
      const { disk, vdi, generation, epoch, objects } = message;
      const names = objects.map(({ layer, index, sequence }) => `${layer}/${index}.${sequence}`).join(' ');
      return `retire vdi ${vdi} ${names}, generation ${generation}, disk ${disk} epoch ${epoch}`;
    }
    case 'fence':
      return `${message.request}: fence vdi ${message.vdi}, generation ${message.generation}, epoch ${message.epoch}`;
    case 'release':
      return `${message.request}: release vdi ${message.vdi}, generation ${message.generation}`;
    case 'attributes':
      return `${message.request}: attributes of vdi ${message.vdi}, generation ${message.generation}`;
    case 'reply': {
      const { request, refusal, body } = message;
      return `${request} ${refusal ? `refused: ${JSON.stringify(refusal)}` : `answered ${summary(body)}`}`;
    }
    case 'report':
      return `report ${JSON.stringify(message.report)}`;
    default: {
      const { request, disk, copies, pg, epoch } = message;
      return `${request}: ${message.type} disk ${disk} group ${copies}/${pg} epoch ${epoch}`;
    }
  }
}

const SUMMARY_CHARACTERS = 120;

function summary(body: unknown): string {
  if (body === undefined || Buffer.isBuffer(body)) return '';
  const text = JSON.stringify(body, (_, value) => (value?.type === 'Buffer' ? '…' : value)) ?? '';
  return text.slice(0, SUMMARY_CHARACTERS);
}
